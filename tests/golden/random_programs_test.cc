// Random small programs on random input at random partition counts: the engine gives what the
// reference interpreter gives, record by record. A program that differs is cut down and shown; it
// then becomes a golden case.
#include <optional>

#include "gtest/gtest.h"
#include "tests/golden/random_program.h"

namespace sluice::golden {
namespace {

constexpr uint32_t kSeeds = 250;
constexpr int kOperatorsMax = 8;
constexpr int kBatches = 14;
constexpr uint32_t kPartitions[] = {1, 2, 3, 7};

std::string Shown(const std::vector<Given>& outputs) {
  std::string text;
  for (const Given& given : outputs) {
    text += given.has_dataset ? "  [" : "  none";
    for (const std::string& row : given.All()) text += row + " ";
    text += given.has_dataset ? "]\n" : "\n";
  }
  return text;
}

// What differs; nothing when all is the same. Counts what was seen.
std::optional<std::string> Difference(uint32_t seed, int operators, uint64_t* rows) {
  BothRuns runs(kPartitions[seed % 4]);
  RandomProgram program(runs, seed, operators);
  const std::string about = "seed " + std::to_string(seed) + ", " +
                            std::to_string(kPartitions[seed % 4]) + " partitions\n" +
                            program.text();
  for (int batch = 1; batch <= kBatches; ++batch) {
    program.PushBatch();
    const Outcome outcome = runs.RunBatchAfter(program.Ticks());
    if (!outcome.ok()) return about + outcome.message;
    const std::vector<Given> of_engine = runs.OfEngine();
    if (of_engine != runs.OfInterpreter()) {
      return about + "batch " + std::to_string(batch) + ": the engine gives\n" +
             Shown(of_engine) + "and the interpreter\n" + Shown(runs.OfInterpreter());
    }
    for (const Given& given : of_engine) *rows += given.All().size();
  }
  return std::nullopt;
}

TEST(RandomProgramsTest, TheEngineGivesWhatTheInterpreterGives) {
  uint64_t rows = 0;
  for (uint32_t seed = 1; seed <= kSeeds; ++seed) {
    if (!Difference(seed, kOperatorsMax, &rows).has_value()) continue;
    for (int operators = 0; operators <= kOperatorsMax; ++operators) {
      const auto difference = Difference(seed, operators, &rows);
      if (!difference.has_value()) continue;
      ADD_FAILURE() << *difference;
      break;
    }
  }
  EXPECT_GT(rows, kSeeds * kBatches * 5u) << "hardly anything was compared";
}

}  // namespace
}  // namespace sluice::golden
