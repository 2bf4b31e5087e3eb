// What all processes of a simulated cluster share: the world, the stores, and what the checks at
// the end are made from.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "checkpoint/memory_log_store.h"
#include "checkpoint/memory_object_store.h"
#include "checkpoint/state_part.h"
#include "common/plan/graph.h"
#include "driver/job/commands.h"
#include "tests/sim/sink.h"
#include "tests/sim/world.h"

namespace sluice::sim {

// (stream, incarnation, number)
using BlockId3 = std::tuple<uint32_t, uint64_t, uint64_t>;
inline BlockId3 IdOf(const proto::BlockName& name) {
  return {name.stream(), name.incarnation(), name.number()};
}

// A block wherever it is, for ever: what the reference reads.
struct ArchivedBlock {
  std::string bytes;
  std::set<std::string> holders;   // worker ids that have it now
  bool had_two_copies = false;
  bool told = false;               // to the job driver, which may count on it from then on
};

// Of a source that cannot send again: who took it, by incarnation.
struct PlainRecord {
  uint64_t receiver = 0;
  uint64_t daemon = 0;
};

// The file system of outputs: staged directories and what was renamed.
struct SimFiles {
  static constexpr uint32_t kMark = UINT32_MAX;  // a part that marks what was staged
  static constexpr uint32_t kOfAnotherJob = UINT32_MAX - 1;  // a part that none of this job's has

  std::map<std::string, std::map<uint32_t, std::vector<std::string>>> staged;
  std::map<std::string, std::map<uint32_t, std::vector<std::string>>> published;
  std::set<std::string> looked_at;  // targets that a job driver has looked at
  std::map<std::string, ListedFile> input;
  // One file of several batches, both included.
  struct Rolled {
    OutputId output = 0;
    int64_t from_ms = 0;
    int64_t to_ms = 0;
    std::vector<std::string> rows;
  };
  std::map<std::string, Rolled> rolled;
};

// Written through as it comes in; knows which batches are durably planned and decided.
class SimLog : public MemoryLogStore {
 public:
  absl::Status PutIfAbsent(uint64_t slot, std::string_view bytes) override;
  const std::set<int64_t>& planned() const { return planned_; }
  const std::set<int64_t>& decided() const { return decided_; }
  bool Added(const BlockId3& block) const { return added_.contains(block); }
  int64_t last_sealed_ms() const { return last_sealed_ms_; }
  // Whether the range is logged.
  bool Rolls(OutputId output, int64_t from_ms, int64_t to_ms) const {
    return rolling_.contains({output, from_ms, to_ms});
  }

 private:
  std::set<int64_t> planned_;
  std::set<int64_t> decided_;
  std::set<BlockId3> added_;
  std::set<std::tuple<OutputId, int64_t, int64_t>> rolling_;
  int64_t last_sealed_ms_ = 0;
};

struct Site {
  Site(uint64_t seed, const Faults& faults, Counters* counters, bool trace)
      : world(seed, faults, counters, trace), codec(NewPlainStatePartCodec()) {}

  World world;
  Knobs knobs;
  bool any_interval = false;       // the job runs under any batch interval
  const LineageGraph* graph = nullptr;
  std::set<OutputId> loose_outputs;
  SimLog log;
  MemoryObjectStore objects;
  std::unique_ptr<StatePartCodec> codec;
  std::set<std::string> damaged;                               // manifests, on purpose
  std::set<std::string> collected;                             // objects of received blocks
  SimFiles files;
  const Sink* sink = nullptr;
  Sink called;  // by a ForeachBatch: its partitions
  std::map<BlockId3, ArchivedBlock> blocks;
  std::optional<uint32_t> plain_stream;                        // of PlainRecords
  std::map<uint64_t, PlainRecord> plain;                       // by number, from 1 on
  bool plain_ended = false;                                    // no more of them
  uint64_t lost_records = 0;                                   // as the job driver says at the end
  std::set<uint64_t> daemons_lost;                             // that ended, or were given up once
  std::map<std::string, uint64_t> daemons;                     // alive, by worker id: incarnation
  std::map<std::string, int64_t> acknowledged;                 // by producer
  std::map<int64_t, std::vector<std::string>> printed;         // by batch
  uint64_t rows_compared = 0;                                  // with the reference
  std::vector<std::string> broken;                             // invariants
  int64_t wall_offset_ms = 1'000'000;
  bool log_full = false;
  uint64_t epoch = 0;                                          // the newest of a job driver
  std::set<uint64_t> marked;                                   // epochs that marked the outputs
  bool calm = false;                                           // no faults any more
  bool drained = false;                                        // the job has ended in order
  bool killed = false;                                         // an executor with its state

  int64_t WallMs() const { return world.now() / 1000 + wall_offset_ms; }
  bool Chance(double probability) { return !calm && world.random.Chance(probability); }
  // For the next read of the object store.
  void SetReadFaults() {
    ObjectStoreFaults faults;
    if (Chance(world.faults.objects_unread)) {
      world.Count("objects: read failed");
      faults.fail_gets = 1;
    }
    objects.SetFaults(faults);
  }
  // For its next put.
  void SetObjectFaults() {
    ObjectStoreFaults faults;
    if (Chance(world.faults.objects_fail)) {
      world.Count("objects: put failed");
      (world.random.Chance(0.5) ? faults.fail_puts : faults.unknown_puts) = 1;
    }
    objects.SetFaults(faults);
  }
  void Break(const std::string& what) {
    world.Trace("BROKEN", what);
    broken.push_back(what);
  }
};

}  // namespace sluice::sim
