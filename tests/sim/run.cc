#include "tests/sim/run.h"

#include "tests/sim/checks.h"
#include "tests/sim/cluster.h"
#include "tests/sim/fault_points.h"

namespace sluice::sim {
namespace {

constexpr int64_t kPatienceUs = 40'000'000;  // from the last fault to the end of all work
constexpr int64_t kLookUs = 200'000;

}  // namespace

RunResult RunSeed(uint64_t seed, Counters* counters, bool trace) {
  uint64_t attempts = seed;
  Random dice(seed ^ 0x5eed);  // as RunJob throws them
  const bool aside = RandomKnobs(dice).bad_records_aside;
  Poison poison;
  if (seed % 4 < 2) poison.record = seed % 4 == 0 ? "a 10" : "a 30";
  if (seed % 4 == 2 && seed / 8 % 2 == 0) poison.number = "k1 1002";
  // It would spoil what is made of a skipped batch, too.
  if (seed % 4 == 3 && seed / 8 % 2 == 0 && aside) poison.row = "k2 12 ";
  Sink sink;
  const Effect effect = [&sink](const PartitionIdentity& identity, const BatchView& records) {
    sink.Write(identity, records);
  };
  const LineageGraph graph = MakeJob(&attempts, poison, seed / 4 % 2 == 0 ? effect : nullptr);
  return RunJob({.graph = &graph, .loose = {kSpreadOutput}, .plain = true, .sink = &sink}, seed,
                counters, trace);
}

RunResult RunJob(const Job& job, uint64_t seed, Counters* counters, bool trace) {
  Site site(seed, Faults{}, counters, trace);
  Random chaos(seed ^ 0x5eed);
  site.knobs = RandomKnobs(chaos);
  site.knobs.state_on_disk = Random(seed ^ 0xd15c).Chance(0.1);
  site.knobs.drained = Random(seed ^ 0xd2a1).Chance(0.3);
  site.knobs.cancelled = Random(seed ^ 0xca9c).Chance(0.3);
  site.knobs.one_stays_away = Random(seed ^ 0x11fe).Chance(0.3);
  site.any_interval = job.batch_interval_ms == 0;
  if (job.batch_interval_ms != 0) site.knobs.batch_interval_ms = job.batch_interval_ms;
  site.graph = job.graph;
  site.loose_outputs = job.loose;
  if (job.plain) site.plain_stream = kPlainNode;
  site.sink = job.sink;
  if (job.sink != nullptr) job.sink->Attach(&site);
  site.called.Attach(&site);
  SimFaultPoints points(&site, &chaos);
  const FaultPointsHere installed(&points);
  RunResult result;
  {
    Cluster cluster(&site, &chaos);
    const auto until = [&](int64_t time) {
      while (site.broken.empty() && site.world.Step(time)) ++result.events;
    };
    until(site.knobs.faults_until_us);
    cluster.Calm();
    cluster.StopProducing();
    const int64_t deadline = site.world.now() + kPatienceUs;
    int64_t look = site.knobs.faults_until_us;
    while (site.broken.empty() && !cluster.Finished() && look < deadline) until(look += kLookUs);
    if (site.broken.empty() && !cluster.Finished()) {
      site.Break("I7: no end of work " + std::to_string(kPatienceUs / 1'000'000) +
                 " s after the last fault: " + cluster.Unfinished());
    }
    // What is left over goes with the next checkpoints, or when an inventory shows it.
    look += 3 * site.knobs.checkpoint_interval_ms * 1000 + 2'000'000;
    until(look);
    // A job driver that was replaced, does not know it, and has nothing to write that would tell
    // it, ends at the deadline of its drain.
    const int64_t rest = look + kPatienceUs + kDrainDeadlineMs * 1000;
    while (site.broken.empty() && !cluster.HeldBlocks().empty() && look < rest) {
      until(look += kLookUs);
    }
    if (site.broken.empty() && !cluster.HeldBlocks().empty()) {
      site.Break("I14: copies of blocks are kept: " + cluster.HeldBlocks());
    }
    if (site.broken.empty() && !cluster.ExecutorsLeft().empty()) {
      site.Break("I14: the job has ended, and there are executors:" + cluster.ExecutorsLeft());
    }
    site.lost_records = cluster.LostRecords();
    if (site.broken.empty()) CheckOutcome(site);
  }
  result.broken = site.broken;
  result.rows_compared = site.rows_compared;
  result.virtual_us = site.world.now();
  return result;
}

const std::vector<std::string>& ExpectedCounters() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names = {
        "network: message lost", "network: message delayed", "network: message twice",
        "network: message twice, long after", "network: message of a former life",
        "network: message out of order", "network: message into a cut", "log: append failed",
        "log: append of unknown outcome", "log: append slow", "objects: put failed",
        "objects: put slow", "objects: read failed", "blocks: no room",
        "blocks: no room for a replica", "blocks: replica stored late", "task: slow",
        "task: output cannot be written", "producer: acknowledgement lost",
        "disaster: job driver crashed", "disaster: job driver paused and replaced",
        "disaster: executor crashed", "disaster: receiver crashed",
        "disaster: worker daemon crashed", "disaster: node crashed", "disaster: node paused",
        "disaster: all nodes crashed", "disaster: cut in one direction",
        "disaster: cut in both directions",
        "disaster: log full", "disaster: torn append", "disaster: wall clock jumped",
        "disaster: driver daemon crashed", "disaster: links reset",
        "stays: down", "stays: paused", "stays: cut off", "stays: deaf", "stays: unheard",
        "drain: asked for", "drain: ended in order",
        "cancel: asked for", "cancel: ended in order", "cancel: without a checkpoint",
        "recovery: job driver restored from a manifest", "recovery: append tried again",
        "recovery: publication done again", "output: another job's replaced",
        "output: step of a publication slow",
        "recovery: replacement of an output taken over", "recovery: printed again",
        "recovery: checkpoints collected", "recovery: grant taken",
        "recovery: state loaded from parts", "recovery: batch rebuilt",
        "recovery: task tried again", "recovery: input waited for",
        "recovery: checkpoint given up, changes kept", "recovery: block read from another node",
        "recovery: block released", "recovery: a former job driver was fenced",
        "recovery: producer sent again", "plain: record taken", "plain: record lost",
        "plain: left by a receiver that crashed", "recovery: batch skipped, its input kept aside",
        "recovery: input kept aside once more", "recovery: effect repeated",
        "recovery: late effect refused by its fence", "received log: block written",
        "received log: blocks collected", "recovery: block read from the received log",
        "letters: record set aside", "letters: run again", "letters: in the store",
        "letters: key run again", "letters: row run again",
        "disaster: newest checkpoint damaged", "recovery: fell back to an older checkpoint",
        "disaster: another shape asked for", "recovery: former shape finished first",
        "recovery: state completed by deltas", "recovery: a delta could not be read",
        "recovery: deltas of other partitions left unread",
        "recovery: another copy of a delta asked for",
        "recovery: rollback, as deltas were not whole", "recovery: state divided anew",
        "recovery: executor that does not see an output", "output: not marked",
        "recovery: batches go on in another shape",
        "task: threw", "copies: asked for", "copies: run", "copies: came first",
        "copies: came second", "copies: loser ended", "copies: ended in vain", "copies: failed",
        "copies: gave something else",
        "state: on disk", "state: on disk, its executor killed",
        "state: on disk, loaded after a kill"};
    for (size_t i = 0; i < static_cast<size_t>(FaultPoint::kCount); ++i) {
      names.push_back(CounterOf(static_cast<FaultPoint>(i)));
    }
    return names;
  }();
  return all;
}

}  // namespace sluice::sim
