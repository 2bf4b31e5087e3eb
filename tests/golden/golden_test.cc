// Every tests/golden/*.txt, at 1, 2 and 7 partitions: the engine and the reference interpreter must
// both give what the file says, and the same as each other. And the engine must give it too when it
// ends in the middle and a new one takes up its checkpoint, in the same number of partitions or in
// another one.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "gtest/gtest.h"
#include "tests/golden/both_runs.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/golden_jobs.h"

namespace sluice::golden {
namespace {

namespace fs = std::filesystem;

constexpr char kFolder[] = "tests/golden";
const std::set<std::string> kInputs = {"words", "more", "numbers", "pairs"};

// The four sources that jobs may use.
class Inputs {
 public:
  explicit Inputs(BothRuns& runs) : words_(runs), more_(runs), numbers_(runs), pairs_(runs) {}

  Streams streams() const {
    return {words_.stream(), more_.stream(), numbers_.stream(), pairs_.stream(), "", Calls()};
  }
  void Push(const std::string& name, const Cell& cell) {
    if (name == "words") PushTo(words_, cell, ToText);
    if (name == "more") PushTo(more_, cell, ToText);
    if (name == "numbers") PushTo(numbers_, cell, ToNumber);
    if (name == "pairs") PushTo(pairs_, cell, ToPair);
  }

 private:
  template <class T, class Parse>
  static void PushTo(BothInput<T>& input, const Cell& cell, const Parse& parse) {
    if (!cell.has_value()) return input.PushNoDataset();
    std::vector<T> records;
    for (const std::string& record : cell->front()) records.push_back(parse(record));
    input.Push(records);
  }

  BothInput<std::string> words_, more_;
  BothInput<int64_t> numbers_;
  BothInput<std::pair<std::string, int64_t>> pairs_;
};

Given GivenOf(const Cell& cell) {
  return cell.has_value() ? Given{true, *cell} : Given{false, {}};
}

Given InAnyOrder(Given given) {
  for (Rows& part : given.parts) std::sort(part.begin(), part.end());
  return given;
}

std::string Shown(const Given& given) {
  if (!given.has_dataset) return "none";
  std::string text;
  for (const Rows& part : given.parts) {
    if (&part != &given.parts.front()) text += " /";
    for (const std::string& row : part) text += " " + row;
  }
  return text;
}

class GoldenTest : public testing::TestWithParam<std::tuple<std::string, uint32_t>> {
 protected:
  uint32_t partitions() const {
    return partitions_ != 0 ? partitions_ : std::get<1>(GetParam());
  }

  void Expect(const std::string& who, const Given& was, const Given& expected) {
    const bool in_order = golden_.always_in_order || partitions() == 1;
    const bool same = in_order ? was == expected : InAnyOrder(was) == InAnyOrder(expected);
    if (!same) {
      ADD_FAILURE() << who << " gives\n  " << Shown(was) << "\ninstead of\n  " << Shown(expected);
    }
  }

  void CheckInterpreter(const GoldenBatch& batch, BothRuns& runs) {
    const std::vector<Given> of_engine = runs.OfEngine();
    for (size_t output = 0; output < of_engine.size(); ++output) {
      EXPECT_EQ(Shown(of_engine[output]), Shown(runs.OfInterpreter()[output])) << "(interpreter)";
    }
    const std::string here = "out@" + std::to_string(partitions());
    for (const auto& [column, cell] : batch.cells) {
      if (column != "out" && column != here) continue;
      Expect("the interpreter", runs.OfInterpreter().at(0), GivenOf(cell));
    }
  }

  void CheckEngine(const GoldenBatch& batch, BothRuns& runs, Calls& calls) {
    const std::vector<Given> of_engine = runs.OfEngine();
    const std::string here = "out@" + std::to_string(partitions());
    for (const auto& [column, cell] : batch.cells) {
      if (kInputs.contains(column)) continue;
      if (column == "calls") {
        Expect("the engine", GivenOf(calls.Take()), GivenOf(cell));
      } else if (column == "out" || (column == here && partitions_ == 0)) {
        Expect("the engine", of_engine.at(0), GivenOf(cell));
      }
    }
  }

  // Runs the batches from `from` to `to` in one engine. `checkpoint`: where it takes up.
  void Run(size_t from, size_t to, const std::string& checkpoint) {
    const Declare* declare = FindJob(golden_.job);
    ASSERT_NE(declare, nullptr) << "no job is written " << golden_.job;
    BothRuns runs(partitions(), checkpoint, partitions_ != 0);
    Inputs inputs(runs);
    Streams streams = inputs.streams();
    streams.prefix = folder_ + "/saved";
    (*declare)({runs.ssc(), &runs, ""}, streams);
    int64_t now_ms = from == 0 ? 0 : golden_.batches[from - 1].time_ms;
    for (size_t i = from; i < to; ++i) {
      const GoldenBatch& batch = golden_.batches[i];
      SCOPED_TRACE(golden_.file + ":" + std::to_string(batch.line) + ", " +
                   std::to_string(partitions()) + " partitions");
      for (const auto& [column, cell] : batch.cells) inputs.Push(column, cell);
      const Outcome outcome =
          runs.RunBatchAfter(static_cast<int>((batch.time_ms - now_ms) / 1000));
      ASSERT_TRUE(outcome.ok()) << outcome.message;
      now_ms = batch.time_ms;
      CheckEngine(batch, runs, streams.calls);
      if (from == 0) CheckInterpreter(batch, runs);
    }
  }

  void SetUp() override {
    golden_ = ReadGoldenFile(std::string(kFolder) + "/" + std::get<0>(GetParam()) + ".txt");
    ASSERT_EQ(golden_.error, "");
    folder_ = testing::TempDir() + "golden-" + std::get<0>(GetParam()) + "-" +
              std::to_string(partitions());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    setenv("TMPDIR", folder_.c_str(), 1);  // where state on disk is
  }
  void TearDown() override { fs::remove_all(folder_); }

  uint32_t partitions_ = 0;  // instead of the parameter
  GoldenCase golden_;
  std::string folder_;
};

TEST_P(GoldenTest, GivesWhatItMust) { Run(0, golden_.batches.size(), ""); }

// Where the first engine ends, nothing but its log and its sealed checkpoints is left.
class GoldenRestartTest : public GoldenTest {};
TEST_P(GoldenRestartTest, GivesTheSameWhenANewEngineTakesUpTheCheckpoint) {
  const size_t middle = (golden_.batches.size() + 1) / 2;
  Run(0, middle, folder_ + "/checkpoint");
  if (HasFatalFailure()) return;
  Run(middle, golden_.batches.size(), folder_ + "/checkpoint");
}

// 2, then 7, then 3 partitions: state is divided anew at each start, windows half full and stacks
// half used up. Which partition has what is not said then, but all of it must be there.
class GoldenReshapeTest : public GoldenTest {};
TEST_P(GoldenReshapeTest, GivesTheSameInAnotherNumberOfPartitions) {
  const size_t count = golden_.batches.size();
  const std::pair<size_t, uint32_t> ends[] = {
      {(count + 2) / 3, 2}, {(2 * count + 2) / 3, 7}, {count, 3}};
  size_t from = 0;
  for (const auto& [to, partitions] : ends) {
    partitions_ = partitions;
    if (from < to) Run(from, to, folder_ + "/checkpoint");
    if (HasFatalFailure()) return;
    from = to;
  }
}

std::vector<std::string> Files() {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path().stem());
  }
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(
    Files, GoldenTest, testing::Combine(testing::ValuesIn(Files()), testing::Values(1u, 2u, 7u)),
    [](const auto& info) {
      return std::get<0>(info.param) + "_at_" + std::to_string(std::get<1>(info.param));
    });

INSTANTIATE_TEST_SUITE_P(
    Files, GoldenRestartTest, testing::Combine(testing::ValuesIn(Files()), testing::Values(2u)),
    [](const auto& info) { return std::get<0>(info.param); });

INSTANTIATE_TEST_SUITE_P(
    Files, GoldenReshapeTest, testing::Combine(testing::ValuesIn(Files()), testing::Values(0u)),
    [](const auto& info) { return std::get<0>(info.param); });

TEST(GoldenFilesTest, EveryColumnIsKnown) {
  std::set<std::string> known = kInputs;
  known.insert({"time", "out", "out@1", "out@2", "out@7", "calls"});
  ASSERT_GT(Files().size(), 30u);
  for (const std::string& file : Files()) {
    const GoldenCase golden = ReadGoldenFile(std::string(kFolder) + "/" + file + ".txt");
    EXPECT_EQ(golden.error, "") << file;
    for (const std::string& column : golden.columns) EXPECT_TRUE(known.contains(column)) << file;
  }
}

}  // namespace
}  // namespace sluice::golden
