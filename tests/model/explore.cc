// The walk: breadth first, so that a broken invariant comes with a shortest trace.
#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_set>

#include "tests/model/model.h"

namespace sluice::model {
namespace {

static_assert(alignof(State) == 1, "no padding: states are compared as bytes");

// Two independent 64-bit hashes: two different states out of ten million are taken for one with a
// probability below 1e-24.
struct Digest {
  uint64_t a, b;
  bool operator==(const Digest&) const = default;
};
struct DigestHash {
  size_t operator()(const Digest& digest) const { return digest.a; }
};

Digest DigestOf(const State& state) {
  const char* bytes = reinterpret_cast<const char*>(&state);
  Digest digest{0x9e3779b97f4a7c15ull, 0xc2b2ae3d27d4eb4full};
  for (size_t i = 0; i < sizeof(State); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + i, std::min<size_t>(8, sizeof(State) - i));
    digest.a = (digest.a ^ word) * 0x2545f4914f6cdd1dull;
    digest.a ^= digest.a >> 29;
    digest.b = (digest.b + word) * 0x9fb21c651e98df25ull;
    digest.b ^= digest.b >> 32;
  }
  return digest;
}

struct Visited {
  uint32_t parent;
  const char* step;
  int arg;
};

Counts CountsOf(uint8_t blocks) {
  Counts counts = 0;
  for (int block = 0; block < kBlocks; ++block) {
    if (blocks & (1 << block)) counts = static_cast<Counts>(counts + (1 << (2 * (block / 2))));
  }
  return counts;
}

bool EachOnce(uint8_t blocks) {
  for (int record = 0; record < kRecords; ++record) {
    if ((blocks >> (2 * record) & 3) == 3) return false;
  }
  return true;
}

// The reference: what partitions together must hold after batch t.
Counts Reference(const LogView& log, int t) {
  Counts counts = 0;
  for (int i = 0; i <= t; ++i) counts += CountsOf(log.blocks[i]);
  return counts;
}

std::string BrokenLog(const LogView& log) {
  uint8_t planned = 0;
  for (int t = 0; t < log.planned; ++t) {
    if (planned & log.blocks[t]) return "I4: a block is in two batches";
    if (log.blocks[t] & ~log.added) return "I4: a batch has a block that was never added";
    planned |= log.blocks[t];
  }
  if (!EachOnce(log.added)) return "I2: a record was added twice";
  if (log.decided > log.planned) return "I4: decided before planned";
  for (int t = 0; t < log.decided; ++t) {
    if (log.outputs[t][0] + log.outputs[t][1] != Reference(log, t)) {
      return "I2: a decided batch differs from the reference";
    }
  }
  if (log.sealed > log.decided) return "I6: a checkpoint of an undecided batch";
  if (log.sealed > 0 &&
      log.checkpoint[0] + log.checkpoint[1] != Reference(log, log.sealed - 1)) {
    return "I6: a checkpoint differs from the reference";
  }
  return "";
}

}  // namespace

State Initial() {
  State state;
  std::memset(&state, 0, sizeof state);
  for (Driver& driver : state.drivers) driver.generation = kNone;
  for (Executor& executor : state.executors) executor.generation = kNone;
  return state;
}

std::string Broken(const State& state, const Bounds& bounds, bool ended) {
  const LogView& log = state.log;
  if (state.acknowledged > log.last) return "I1: an acknowledged record is not in the log";
  if (std::string broken = BrokenLog(log); !broken.empty()) return broken;
  for (int t = 0; t < kBatches; ++t) {
    if (!state.visible[t]) continue;
    if (t >= log.decided) return "I3: output of an undecided batch is visible";
    if (state.shown[t] != log.outputs[t]) return "I3: other output is visible than was decided";
  }
  for (const Driver& driver : state.drivers) {
    if (driver.phase != 2 || driver.view.epoch >= log.epoch) continue;
    // The former leader: its view must end before the record that ended its reign.
    if (driver.view.length >= log.length) return "I5: two epochs commit";
  }
  if (!ended) return "";
  if (state.acknowledged != bounds.records) return "I7: a record is never acknowledged";
  if (log.decided != kBatches) return "I7: a batch is never decided";
  for (uint8_t visible : state.visible) {
    if (!visible) return "I7: an output never becomes visible";
  }
  return "";
}

Result Explore(const Rules& rules, const Bounds& bounds) {
  Result result;
  std::vector<Visited> visited;
  std::unordered_set<Digest, DigestHash> seen;
  std::vector<std::pair<uint32_t, State>> layer, next;
  std::vector<Successor> successors;
  auto stop = [&](const std::string& broken, uint32_t at) {
    result.broken = broken;
    for (uint32_t i = at; i != 0; i = visited[i].parent) {
      result.trace.push_back(visited[i].step + (" " + std::to_string(visited[i].arg)));
    }
    std::reverse(result.trace.begin(), result.trace.end());
    return result;
  };
  layer.emplace_back(0, Initial());
  visited.push_back({0, "", 0});
  seen.insert(DigestOf(layer[0].second));
  while (!layer.empty()) {
    next.clear();
    for (const auto& [index, state] : layer) {
      successors.clear();
      Successors(state, rules, bounds, successors);
      if (successors.empty()) ++result.ends;
      const std::string broken = Broken(state, bounds, successors.empty());
      if (!broken.empty()) return stop(broken, index);
      for (const Successor& successor : successors) {
        if (!seen.insert(DigestOf(successor.state)).second) continue;
        next.emplace_back(static_cast<uint32_t>(visited.size()), successor.state);
        visited.push_back({index, successor.name, successor.arg});
      }
    }
    result.states = visited.size();
    if (result.states > bounds.states_max) return result;
    std::swap(layer, next);
  }
  result.complete = true;
  return result;
}

}  // namespace sluice::model
