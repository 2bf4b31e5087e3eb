// Random programs in the simulated cluster, with its faults: every output of every batch is what
// the reference interpreter gives over the logged composition, whatever is lost, killed and run
// again. That the operators themselves are right is shown by tests/golden:random_programs_test.
// A program that breaks is cut down to its first operators that do, with the same faults.
#include <charconv>

#include "driver/api/api.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "tests/golden/random_program.h"
#include "tests/sim/run.h"

namespace sluice::sim {
namespace {

using golden::Pair;

constexpr uint32_t kPrograms = 60;
constexpr uint64_t kSeedsOfEach = 2;
constexpr int kOperatorsMax = 8;
constexpr uint32_t kPartitions = 4;  // of the model, which is not run here
constexpr int64_t kIntervalsMs[] = {100, 200, 250, 500};

// The simulator's lines end in a number that is theirs alone: "a 17".
Pair PairOf(std::string_view line) {
  uint64_t number = 0;
  std::from_chars(line.data() + line.rfind(' ') + 1, line.data() + line.size(), number);
  return {std::string(1 + number % 3 * 8, static_cast<char>('a' + number / 3 % 4)),
          static_cast<int64_t>(number * 7 % 20) - 5};
}

struct Ran {
  std::string text;
  RunResult result;
};

Ran RunProgram(uint32_t program_seed, int operators, uint64_t fault_seed, Counters* counters) {
  const int64_t interval_ms = kIntervalsMs[program_seed % std::size(kIntervalsMs)];
  StreamingContext ssc(
      {.name = "random", .batch_interval = std::chrono::milliseconds(interval_ms)});
  const DStream<std::string> pushed = ssc.PushStream("pushed");
  const DStream<std::string> files = ssc.TextFileStream("/in");
  golden::model::Model model(kPartitions);
  const golden::RandomProgram program(
      ssc, model,
      {{pushed.Map(PairOf), model.AddSource(1)}, {files.Map(PairOf), model.AddSource(1)}},
      program_seed, operators);
  const std::vector<golden::RandomStream> outputs = program.outputs();
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs[i].pairs.SaveAsTextFiles("/out/random-" + std::to_string(i));
  }
  Ran ran{"program " + std::to_string(program_seed) + " with the faults of seed " +
              std::to_string(fault_seed) + "\n" + program.text(),
          {}};
  const Outcome checked = ssc.Check();
  if (!checked.ok()) ran.result.broken.push_back(checked.message);
  const Job job{&ssc.graph(), {}, interval_ms};
  if (checked.ok()) ran.result = RunJob(job, fault_seed, counters, /*trace=*/false);
  return ran;
}

void ShowCutDown(uint32_t program_seed, uint64_t fault_seed) {
  Counters unused;
  for (int operators = 0; operators <= kOperatorsMax; ++operators) {
    const Ran ran = RunProgram(program_seed, operators, fault_seed, &unused);
    if (ran.result.broken.empty()) continue;
    ADD_FAILURE() << ran.text << ran.result.broken.front();
    return;
  }
}

TEST(RandomSimTest, ProgramsGiveWhatTheReferenceGivesWhateverFails) {
  FLAGS_minloglevel = google::FATAL;
  Counters counters;
  uint64_t rows = 0;
  for (uint32_t program = 1; program <= kPrograms; ++program) {
    for (uint64_t i = 0; i < kSeedsOfEach; ++i) {
      const uint64_t fault_seed = 2'000'000 + 100 * program + i;
      const Ran ran = RunProgram(program, kOperatorsMax, fault_seed, &counters);
      rows += ran.result.rows_compared;
      if (!ran.result.broken.empty()) ShowCutDown(program, fault_seed);
    }
  }
  EXPECT_GT(rows, kPrograms * kSeedsOfEach * 100) << "hardly anything was compared";
  for (const char* what : {"recovery: state loaded from parts", "recovery: batch rebuilt",
                           "recovery: job driver restored from a manifest",
                           "recovery: task tried again"}) {
    EXPECT_GT(counters[what], 0u) << what;
  }
}

}  // namespace
}  // namespace sluice::sim
