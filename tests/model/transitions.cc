// What may happen next, role by role. Each function offers every step that its role could take.
#include <algorithm>

#include "tests/model/model.h"

namespace sluice::model {
namespace {

constexpr int Generation(int driver, int number) { return 2 * driver + number; }
constexpr uint8_t Record(int block) { return block / 2; }
constexpr uint8_t Bit(int index) { return static_cast<uint8_t>(1u << index); }

// The share of `partition` of a batch with these blocks. The kernel splits by attempt: which
// partition a record goes to depends on the generation; the total over partitions does not.
Counts ShareOf(int generation, uint8_t blocks, int partition) {
  Counts counts = 0;
  for (int block = 0; block < kBlocks; ++block) {
    if ((blocks & Bit(block)) == 0 || (generation + Record(block)) % 2 != partition) continue;
    counts = static_cast<Counts>(counts + (1 << (2 * Record(block))));
  }
  return counts;
}

class Steps {
 public:
  Steps(const State& from, const Rules& rules, const Bounds& bounds, std::vector<Successor>& out)
      : from_(from), rules_(rules), bounds_(bounds), out_(out) {}

  void All() {
    for (int d = 0; d < 2; ++d) {
      CarryOutAppend(d);
      if (from_.drivers[d].phase == 0) Start(d);
      if (from_.drivers[d].phase == 2 && from_.drivers[d].append.kind == Kind::kNothing) Lead(d);
    }
    for (int e = 0; e < 2; ++e) Execute(e);
    for (Successor& successor : out_) Forget(successor.state);
  }

 private:
  State& To(const char* name, int arg) {
    out_.push_back({from_, name, arg});
    return out_.back().state;
  }

  // The store carries out what is on its way, and the driver learns of it. (A driver that learns
  // late is one that acts late; one that never learns is one that never acts again.)
  void CarryOutAppend(int d) {
    const Driver& driver = from_.drivers[d];
    const Append append = driver.append;
    if (append.kind == Kind::kNothing) return;
    State& to = To("append of driver", d);
    Driver& mine = to.drivers[d];
    if (append.slot != from_.log.length && rules_.put_if_absent) {
      if (driver.phase == 1) {
        OpenEpoch(to, d);
      } else {
        Fence(to, d);
      }
      return;
    }
    Fold(append, to.log);
    Fold(append, mine.view);
    mine.append = {};
    mine.phase = 2;
    if (append.kind == Kind::kDecided && mine.generation != kNone) {
      to.grants[mine.generation].decided = mine.view.decided;
    }
    to.acknowledged = std::max(to.acknowledged, mine.view.last);
    for (int t = 0; t < mine.view.decided; ++t) Show(to, t, mine.view.outputs[t]);
  }

  static void Fence(State& to, int d) {
    to.drivers[d] = {};
    to.drivers[d].phase = 3;
    to.drivers[d].generation = kNone;
  }

  // A rename that never replaces.
  static void Show(State& to, int t, const Pair& outputs) {
    if (to.visible[t]) return;
    to.visible[t] = 1;
    to.shown[t] = outputs;
  }

  static void Fold(const Append& append, LogView& log) {
    ++log.length;
    switch (append.kind) {
      case Kind::kNothing: break;
      case Kind::kEpoch: log.epoch = append.epoch; break;
      case Kind::kAdded:
        log.added |= Bit(append.arg);
        log.last = std::max<uint8_t>(log.last, Record(append.arg) + 1);
        break;
      case Kind::kPlanned:
        if (log.planned < kBatches) log.blocks[log.planned++] = append.arg;
        break;
      case Kind::kDecided:
        if (log.decided < kBatches) log.outputs[log.decided++] = append.pair;
        break;
      case Kind::kSealed:
        log.sealed = append.arg;
        log.checkpoint = append.pair;
        break;
    }
  }

  // The second incarnation may start whenever the first leads: crashed, paused or merely slow.
  void Start(int d) {
    if (d == 1 && from_.drivers[0].phase < 2) return;
    OpenEpoch(To("start driver", d), d);
  }

  static void OpenEpoch(State& to, int d) {
    Driver& driver = to.drivers[d];
    driver.phase = 1;
    driver.generation = kNone;
    driver.view = to.log;
    driver.append = {Kind::kEpoch, static_cast<uint8_t>(to.log.epoch + 1), to.log.length, 0, {}};
  }

  void Propose(int d, Kind kind, int arg, Pair pair, const char* name) {
    State& to = To(name, arg);
    Driver& driver = to.drivers[d];
    driver.append = {kind, driver.view.epoch, driver.view.length, static_cast<uint8_t>(arg), pair};
  }

  void Lead(int d) {
    const Driver& driver = from_.drivers[d];
    NewGeneration(d);
    AddBlocks(d);
    if (driver.generation == kNone) return;
    Plan(d);
    Decide(d);
    Seal(d);
  }

  // The first generation of an incarnation, and another when an executor crashed. No append is in
  // flight here, so none of `decided` is.
  void NewGeneration(int d) {
    const Driver& driver = from_.drivers[d];
    int next = Generation(d, 0);
    if (driver.generation != kNone) {
      const Grant& grant = from_.grants[driver.generation];
      if (grant.incarnation[0] == from_.executors[0].incarnation &&
          grant.incarnation[1] == from_.executors[1].incarnation) {
        return;
      }
      next = driver.generation + 1;
      if (next > Generation(d, 1)) return;
    }
    State& to = To("grant generation", next);
    to.drivers[d].generation = next;
    const LogView& view = driver.view;
    Grant& grant = to.grants[next];
    grant.sent = 1;
    grant.from = view.sealed;
    grant.checkpoint = view.checkpoint;
    grant.decided = view.decided;
    for (int e = 0; e < 2; ++e) grant.incarnation[e] = from_.executors[e].incarnation;
    for (int t = view.sealed; t < view.planned; ++t) {
      const bool rebuild = t < view.decided;
      uint8_t blocks = view.blocks[t];
      if (!rebuild && !rules_.plan_is_fixed) blocks = view.added;
      grant.batch[t] = 0x80 | (rebuild ? 0x40 : 0) | blocks;
    }
  }

  void AddBlocks(int d) {
    const LogView& view = from_.drivers[d].view;
    for (int block = 0; block < kBlocks; ++block) {
      if (Record(block) >= bounds_.records || block % 2 >= bounds_.attempts) continue;
      if (Record(block) > from_.acknowledged || view.added & Bit(block)) continue;
      if (rules_.producer_numbers && Record(block) != view.last) continue;
      Propose(d, Kind::kAdded, block, {}, "propose block added");
      if (!rules_.ack_after_logged) {
        uint8_t& acknowledged = out_.back().state.acknowledged;
        acknowledged = std::max<uint8_t>(acknowledged, Record(block) + 1);
      }
    }
  }

  // Execution does not wait for `planned` to be durable.
  void Plan(int d) {
    const LogView& view = from_.drivers[d].view;
    if (view.planned == kBatches) return;
    uint8_t blocks = view.added;
    for (int t = 0; t < view.planned; ++t) blocks &= ~view.blocks[t];
    Propose(d, Kind::kPlanned, blocks, {}, "propose planned");
    out_.back().state.grants[from_.drivers[d].generation].batch[view.planned] = 0x80 | blocks;
  }

  // What the executors reported for a batch, when both did; else nothing.
  bool Reports(int generation, int t, Pair& outputs) const {
    for (int e = 0; e < 2; ++e) {
      bool found = false;
      for (int g = 0; g < kGenerations; ++g) {
        if (g != generation && rules_.report_of_own_generation) continue;
        if (!(from_.reported[g][t][e] & 0x80) || found) continue;
        outputs[e] = from_.reported[g][t][e] & 0x7f;
        found = true;
      }
      if (!found) return false;
    }
    return true;
  }

  void Decide(int d) {
    const Driver& driver = from_.drivers[d];
    const int t = driver.view.decided;
    Pair outputs{};
    if (t >= driver.view.planned || !Reports(driver.generation, t, outputs)) return;
    Propose(d, Kind::kDecided, t + 1, outputs, "propose decided");
    if (!rules_.publish_after_decided) Show(out_.back().state, t, outputs);
  }

  void Seal(int d) {
    const Driver& driver = from_.drivers[d];
    for (int t = driver.view.sealed; t < driver.view.decided; ++t) {
      const Pair& parts = from_.parts[driver.generation][t];
      if (!(parts[0] & parts[1] & 0x80)) continue;
      const Pair state = {static_cast<Counts>(parts[0] & 0x7f),
                          static_cast<Counts>(parts[1] & 0x7f)};
      Propose(d, Kind::kSealed, t + 1, state, "propose sealed");
    }
  }

  void Execute(int e) {
    const Executor& executor = from_.executors[e];
    const int crashes = from_.executors[0].incarnation + from_.executors[1].incarnation;
    if (crashes < bounds_.executor_crashes) {
      State& to = To("crash executor", e);
      to.executors[e] = {};
      to.executors[e].incarnation = executor.incarnation + 1;
      to.executors[e].generation = kNone;
    }
    for (int g = 0; g < kGenerations; ++g) TakeGrant(e, g);
    if (executor.generation == kNone) return;
    Reduce(e);
    WritePart(e);
  }

  void TakeGrant(int e, int g) {
    const Executor& executor = from_.executors[e];
    const Grant& grant = from_.grants[g];
    if (!grant.sent || grant.incarnation[e] != executor.incarnation) return;
    if (executor.generation != kNone && executor.generation >= g) return;
    Executor& mine = To("take grant, executor", e).executors[e];
    const bool fresh = executor.generation == kNone;
    if (rules_.state_rolled_back || fresh) {
      mine.base = grant.checkpoint[e];
    } else {
      const auto decided = from_.grants[executor.generation].decided;
      mine.base = Total(executor, std::min(executor.done, decided));
    }
    mine.generation = g;
    mine.done = grant.from;
    if (rules_.layers_dropped) mine.layers = {};
  }

  // The state after batch `until`: the base and the layers above it.
  Counts Total(const Executor& executor, int until) const {
    Counts total = executor.base;
    for (int t = from_.grants[executor.generation].from; t < until; ++t) {
      total = static_cast<Counts>(total + executor.layers[t]);
    }
    return total;
  }

  // Whoever maps a batch does so as soon as it is granted; the share arrives at any time after.
  void Reduce(int e) {
    const Executor& executor = from_.executors[e];
    const int g = executor.generation;
    const int t = executor.done;
    if (t >= kBatches || !(from_.grants[g].batch[t] & 0x80)) return;
    for (int sender = 0; sender < kGenerations; ++sender) {
      if (sender != g && rules_.share_of_own_generation) continue;
      if (!(from_.grants[sender].batch[t] & 0x80)) continue;
      State& to = To("reduce, executor", e);
      Executor& mine = to.executors[e];
      mine.layers[t] += ShareOf(sender, from_.grants[sender].batch[t] & 0x0f, e);
      mine.done = t + 1;
      if (from_.grants[g].batch[t] & 0x40) continue;
      to.reported[g][t][e] = 0x80 | (Total(mine, mine.done) & 0x7f);
    }
  }

  // Only the second batch is asked for a checkpoint: enough to roll back to, and half the states.
  void WritePart(int e) {
    const Executor& executor = from_.executors[e];
    const Grant& grant = from_.grants[executor.generation];
    const int t = 2;
    if (executor.done < t || grant.decided < t || grant.from >= t) return;
    if (from_.parts[executor.generation][t - 1][e]) return;
    const Counts state = Total(executor, rules_.decided_layers_only ? t : executor.done);
    To("write part, executor", e).parts[executor.generation][t - 1][e] = 0x80 | (state & 0x7f);
  }

  // What nobody will ever read again is the same as nothing.
  void Forget(State& to) const {
    if (!rules_.report_of_own_generation || !rules_.share_of_own_generation) return;
    for (int g = 0; g < kGenerations; ++g) {
      const Driver& driver = to.drivers[g / 2];
      const bool read_by_driver =
          driver.phase < 2 || (driver.phase == 2 && (driver.generation == kNone ||
                                                     driver.generation <= g));
      if (!read_by_driver) {
        to.reported[g] = {};
        to.parts[g] = {};
      }
      bool read_by_executor = false;
      for (int e = 0; e < 2; ++e) {
        const Executor& executor = to.executors[e];
        read_by_executor |= executor.generation == g;
        read_by_executor |= to.grants[g].incarnation[e] >= executor.incarnation &&
                            (executor.generation == kNone || executor.generation <= g);
      }
      if (!read_by_driver && !read_by_executor) to.grants[g] = {};
    }
  }

  const State& from_;
  const Rules& rules_;
  const Bounds& bounds_;
  std::vector<Successor>& out_;
};

}  // namespace

void Successors(const State& state, const Rules& rules, const Bounds& bounds,
                std::vector<Successor>& out) {
  Steps(state, rules, bounds, out).All();
}

}  // namespace sluice::model
