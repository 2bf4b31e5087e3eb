// Random small programs on random input at random partition counts: the engine gives what the
// model gives, record by record, and so does the reference interpreter. A program that differs is
// cut down and shown; it then becomes a golden case.
#include <optional>

#include "gtest/gtest.h"
#include "tests/golden/both_runs.h"
#include "tests/golden/random_program.h"

namespace sluice::golden {
namespace {

constexpr uint32_t kSeeds = 300;
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

// A program, run by the engine, the interpreter and the model on the same input.
class ThreeRuns {
 public:
  ThreeRuns(uint32_t seed, int operators)
      : runs_(kPartitions[seed % 4]),
        model_(kPartitions[seed % 4]),
        program_(runs_.ssc(), model_, Sources(1 + seed / 4 % 2), seed, operators),
        random_(seed + 1'000'000) {  // the input does not depend on the number of operators
    for (const RandomSample& sample : program_.samples()) TellOf(sample);
    for (const RandomStream& output : program_.outputs()) {
      kept_[runs_.Keep(output.pairs)] = output.number;
    }
  }

  const std::string& text() const { return program_.text(); }

  // Gives every source its next batch, records, an empty dataset, or no dataset, and runs it; now
  // and then ticks are missed before it. Not empty: what is wrong.
  std::string RunBatch() {
    for (Source& source : sources_) Push(source);
    const int ticks = Below(10) == 0 ? 2 + static_cast<int>(Below(4)) : 1;
    const Outcome outcome = runs_.RunBatchAfter(ticks);
    if (!outcome.ok()) return outcome.message;
    try {
      for (const int64_t batch_ms : runs_.batches_ms()) {
        model_.RunBatch({batch_ms, (batch_ms - TestContext::kZeroMs) / 1000});
      }
    } catch (const std::exception& wrong_sample) {
      return wrong_sample.what();
    }
    return "";
  }

  std::vector<Given> OfEngine() const { return runs_.OfEngine(); }
  std::vector<Given> OfInterpreter() const { return runs_.OfInterpreter(); }
  std::vector<Given> OfModel() const {
    std::vector<Given> all(runs_.OfInterpreter().size());
    for (const auto& [output, number] : kept_) {
      const model::Dataset& dataset = model_.of(number);
      all[output].has_dataset = dataset.has_value();
      if (!dataset.has_value()) continue;
      Rows& rows = all[output].parts.emplace_back();
      for (const model::Partition& partition : *dataset) {
        for (const Pair& row : partition.rows) AppendText(row, rows.emplace_back());
      }
    }
    return all;
  }

 private:
  struct Source {
    BothInput<Pair> input;
    size_t number;
  };

  uint32_t Below(uint32_t n) { return random_() % n; }

  std::vector<RandomStream> Sources(uint32_t count) {
    std::vector<RandomStream> streams;
    for (uint32_t i = 0; i < count; ++i) {
      sources_.push_back({BothInput<Pair>(runs_), model_.AddSource(runs_.source_tasks())});
      streams.push_back({sources_.back().input.stream(), sources_.back().number});
    }
    return streams;
  }

  void Push(Source& source) {
    const uint32_t kind = Below(10);
    if (kind == 0) {
      source.input.PushNoDataset();
      model_.Give(source.number, std::nullopt);
    } else if (kind > 1) {
      std::vector<Pair> records(Below(12));
      for (Pair& record : records) {
        record = {std::string(1 + Below(3) * 8, static_cast<char>('a' + Below(4))),
                  static_cast<int64_t>(Below(20)) - 5};
      }
      source.input.Push(records);
      model_.Give(source.number, std::move(records));
    }
  }

  static void TellOf(const RandomSample& sample) {
    sample.pairs.Glom().ForeachBatch([taken = sample.taken](const Batch<std::vector<Pair>>& batch) {
      (*taken)[batch.time_ms()] = batch.Collect();
    });
  }

  BothRuns runs_;
  model::Model model_;
  std::vector<Source> sources_;
  RandomProgram program_;
  std::mt19937 random_;
  std::map<OutputId, size_t> kept_;  // and their numbers in the model
};

// What differs; nothing when all is the same. Counts what was seen.
std::optional<std::string> Difference(uint32_t seed, int operators, uint64_t* rows) {
  ThreeRuns runs(seed, operators);
  const std::string about = "seed " + std::to_string(seed) + ", " +
                            std::to_string(kPartitions[seed % 4]) + " partitions\n" + runs.text();
  for (int batch = 1; batch <= kBatches; ++batch) {
    const std::string wrong = runs.RunBatch();
    if (!wrong.empty()) return about + wrong;
    const std::vector<Given> of_engine = runs.OfEngine();
    const std::string gives = about + "batch " + std::to_string(batch) + ": the engine gives\n" +
                              Shown(of_engine);
    if (of_engine != runs.OfModel()) return gives + "and the model\n" + Shown(runs.OfModel());
    if (of_engine != runs.OfInterpreter()) {
      return gives + "and the interpreter\n" + Shown(runs.OfInterpreter());
    }
    for (const Given& given : of_engine) *rows += given.All().size();
  }
  return std::nullopt;
}

TEST(RandomProgramsTest, TheEngineGivesWhatTheModelAndTheInterpreterGive) {
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
