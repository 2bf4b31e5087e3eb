// B10 in the simulator's virtual time: one worker of N is killed, some time behind the last sealed
// checkpoint, under a load of a part of what all of them manage; beside the model of D-Streams.
//
// The shipping cores, on the simulator's network and stores without faults. A task takes as long as
// its records need, in one of its worker's slots; so does a load of state for the deltas that it
// reads. Every output is compared with the reference interpreter's over the logged composition.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/bench_main.h"
#include "bench/table.h"
#include "driver/api/api.h"
#include "glog/logging.h"
#include "tests/sim/checks.h"
#include "tests/sim/cluster.h"

namespace sluice::bench {
namespace {

constexpr int64_t kIntervalMs = 100;
constexpr int64_t kCheckpointMs = 10'000;
constexpr int64_t kRecordUs = 1'000;  // so that a slot manages a thousand records a second
constexpr int64_t kKeys = 500;
// As seen on loopback: a block is asked for and comes; half a microsecond for an entry of 16 bytes.
constexpr int64_t kDeltaBlockUs = 200;
constexpr int64_t kDeltaReads = 8;  // at once, as sluice/state_backend.cc has it
constexpr int64_t kDeltaKibUs = 32;
constexpr int64_t kStartedUs = 5'000'000;   // by then the job runs, and has no checkpoint yet
constexpr int64_t kBehindUs = 40'000'000;   // the run goes on so long behind the kill

std::optional<int64_t> AddToTotal(std::span<const int64_t> values, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t value : values) sum += value;
  return sum;
}

struct Setting {
  uint32_t workers = 2;
  double load = 0.25;     // of what all workers manage
  bool deltas = false;
  int64_t since_ms = 0;   // from the last sealed checkpoint to the kill
};

struct Measured {
  double begun_s = 0;      // from the kill to the first executor that takes the new grant
  double extra_s = 0;      // delay of the latest batch above what was usual
  double caught_up_s = 0;  // from the kill until no batch is late by more than an interval
  std::string broken;
};

// The two sources that every simulated job has, and one that gives the same records to all slots
// at every batch.
void Declare(StreamingContext& ssc, int64_t records) {
  std::vector<int64_t> numbers(static_cast<size_t>(records));
  for (int64_t i = 0; i < records; ++i) numbers[static_cast<size_t>(i)] = i;
  auto others = ssc.PushStream("pushed").Union(ssc.TextFileStream("/in"));
  auto lines = others.Map([](std::string_view) { return std::pair{int64_t{-1}, int64_t{1}}; });
  ssc.ConstantStream(numbers)
      .Map([](int64_t number) { return std::pair{number % kKeys, number}; })
      .Union(lines)
      .UpdateStateByKey("totals", AddToTotal)
      .SaveAsTextFiles("/out/totals");
}

class Life {
 public:
  Life(const Setting& setting, const LineageGraph& graph)
      : setting_(setting), site_(1, SoundNetwork(), &counters_, /*trace=*/false), chaos_(1) {
    sim::Knobs& knobs = site_.knobs;
    knobs.batch_interval_ms = kIntervalMs;
    knobs.checkpoint_interval_ms = kCheckpointMs;
    knobs.workers = setting.workers;
    knobs.slots = 1;
    knobs.partitions = 4 * setting.workers;
    knobs.producers = 0;
    knobs.deltas = setting.deltas;
    knobs.replication_min = 1;
    knobs.record_us = kRecordUs;
    knobs.delta_block_us = kDeltaBlockUs;
    knobs.delta_reads = kDeltaReads;
    knobs.delta_kib_us = kDeltaKibUs;
    site_.calm = true;  // nothing fails by chance
    site_.graph = &graph;
    site_.called.Attach(&site_);
  }

  Measured Run() {
    sim::Cluster cluster(&site_, &chaos_);
    StepUntil(kStartedUs);
    const int64_t former_ms = site_.log.last_sealed_ms();
    while (site_.broken.empty() && site_.log.last_sealed_ms() == former_ms) StepOn();
    const int64_t kill_ms = site_.log.last_sealed_ms() + setting_.since_ms;
    StepUntil((kill_ms - site_.wall_offset_ms) * 1'000);
    const int64_t killed_at = clock_us_;
    const uint64_t grants = counters_["recovery: grant taken"];
    cluster.LoseWorker(setting_.workers - 1);
    while (counters_["recovery: grant taken"] == grants && site_.broken.empty()) StepOn();
    const int64_t begun_at = clock_us_;
    StepUntil(killed_at + kBehindUs);
    cluster.StopProducing();
    StepUntil(killed_at + kBehindUs + 2'000'000);
    if (site_.broken.empty()) sim::CheckOutcome(site_);
    return Judge(killed_at, begun_at);
  }

 private:
  static sim::Faults SoundNetwork() {
    sim::Faults sound;
    sound.lose = sound.duplicate = sound.reorder = sound.slow = 0;
    sound.delay_us_max = 200;
    sound.disaster_us = 0;
    return sound;
  }

  void StepOn() { StepUntil(clock_us_ + 1'000); }

  // And notes when batches are decided, to the millisecond.
  void StepUntil(int64_t time) {
    while (site_.broken.empty() && clock_us_ < time) {
      clock_us_ = std::min(time, clock_us_ + 1'000);
      while (site_.broken.empty() && site_.world.Step(clock_us_)) {
      }
      const auto& decided = site_.log.decided();
      for (auto it = decided.upper_bound(noted_ms_); it != decided.end(); ++it) {
        delays_ms_.emplace_back(clock_us_, clock_us_ / 1000 + site_.wall_offset_ms - *it);
        noted_ms_ = *it;
      }
    }
  }

  Measured Judge(int64_t killed_at, int64_t begun_at) const {
    std::vector<double> before;
    int64_t worst_ms = 0;
    for (const auto& [at, delay_ms] : delays_ms_) {
      if (at <= killed_at) before.push_back(static_cast<double>(delay_ms));
      else worst_ms = std::max(worst_ms, delay_ms);
    }
    const double usual_ms = Median(before);
    int64_t caught_up_at = killed_at;
    for (const auto& [at, delay_ms] : delays_ms_) {
      if (at > killed_at && static_cast<double>(delay_ms) > usual_ms + kIntervalMs) {
        caught_up_at = at;
      }
    }
    Measured measured;
    measured.begun_s = static_cast<double>(begun_at - killed_at) * 1e-6;
    measured.extra_s = (static_cast<double>(worst_ms) - usual_ms) * 1e-3;
    measured.caught_up_s = static_cast<double>(caught_up_at - killed_at) * 1e-6;
    if (!site_.broken.empty()) measured.broken = site_.broken.front();
    return measured;
  }

  const Setting setting_;
  sim::Counters counters_;
  sim::Site site_;
  sim::Random chaos_;
  int64_t clock_us_ = 0;
  int64_t noted_ms_ = 0;
  std::vector<std::pair<int64_t, int64_t>> delays_ms_;  // by the time of the decision
};

// Seconds until N - 1 workers have done again, beside their own load, what one had done.
double Model(const Setting& setting) {
  const double n = setting.workers;
  const double spare = 1 - setting.load * n / (n - 1);
  return setting.load / n / spare * static_cast<double>(setting.since_ms) * 1e-3;
}

void RunOne(const Setting& setting) {
  const auto records =
      static_cast<int64_t>(setting.load * setting.workers * kIntervalMs * 1000 / kRecordUs);
  StreamingContext ssc(
      {.name = "model", .batch_interval = std::chrono::milliseconds(kIntervalMs)});
  Declare(ssc, records);
  const Outcome outcome = ssc.Check();
  RequireEqual(outcome.ok(), outcome.message);
  const Measured measured = Life(setting, ssc.graph()).Run();
  const double model_s = Model(setting) * (setting.deltas ? 1 : setting.workers);
  const double asked_s = model_s + kIntervalMs * 1e-3;
  char what[96], output[96];
  std::snprintf(what, sizeof(what), "N %u, load %.2f, %.1f s back, %s", setting.workers,
                setting.load, static_cast<double>(setting.since_ms) * 1e-3,
                setting.deltas ? "deltas" : "rollback");
  const double extra_s = measured.extra_s - measured.begun_s;
  std::snprintf(output, sizeof(output), "begun %.2f, caught up %.2f s; model %.2f, %.2f of it; %s",
                measured.begun_s, measured.caught_up_s, asked_s, extra_s / asked_s,
                measured.broken.empty() ? "equal" : measured.broken.c_str());
  Show({.what = what, .value = extra_s, .unit = "s extra", .output = output});
  RequireEqual(measured.broken.empty(), what);
}

}  // namespace

void RunAll() {
  for (const bool deltas : {true, false}) {
    for (const double load : {0.25, 0.5}) {
      for (const uint32_t workers : {2, 4, 8, 16}) {
        if (load * workers / (workers - 1) >= 1) continue;  // the others cannot keep up
        RunOne({workers, load, deltas, kCheckpointMs / 2});
      }
    }
  }
}

}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::BeginBench(argc, argv);
  FLAGS_minloglevel = google::FATAL;
  sluice::bench::RunAll();
}
