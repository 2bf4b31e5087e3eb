// The jobs of the golden cases in the simulated cluster: with a few seeds of faults each, every
// output of every batch is what the reference interpreter gives over the logged composition. The
// records are those of the case; when they come is the seed's affair, so that the case's own
// batches cannot be asked for here.
#include <algorithm>
#include <charconv>
#include <filesystem>

#include "driver/api/api.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/golden_jobs.h"
#include "tests/sim/run.h"

namespace sluice::sim {
namespace {

namespace fs = std::filesystem;
using golden::GoldenCase;

constexpr char kFolder[] = "tests/golden";
constexpr uint64_t kSeeds = 3;
constexpr int64_t kIntervalsMs[] = {100, 200, 250, 500};  // windows of the cases are multiples

// The simulator's lines end in a number that is theirs alone: "a 17".
uint64_t NumberOf(std::string_view line) {
  uint64_t number = 0;
  std::from_chars(line.data() + line.rfind(' ') + 1, line.data() + line.size(), number);
  return number;
}

// What a line stands for in one of the case's sources: each fourth line is one of its records.
template <class T>
struct RecordsOf {
  uint64_t place;
  std::vector<T> records;

  std::vector<T> operator()(std::string_view line) const {
    const uint64_t number = NumberOf(line);
    if (number % 4 != place || records.empty()) return {};
    return {records[number / 4 % records.size()]};
  }
};

template <class T, class Parse>
DStream<T> Source(const GoldenCase& given, const std::string& column, uint64_t place,
                  const DStream<std::string>& lines, const Parse& parse) {
  RecordsOf<T> records{place, {}};
  for (const golden::GoldenBatch& batch : given.batches) {
    const auto cell = batch.cells.find(column);
    if (cell == batch.cells.end() || !cell->second.has_value()) continue;
    for (const std::string& text : cell->second->front()) records.records.push_back(parse(text));
  }
  return lines.FlatMap(std::move(records));
}

// Declares the job of a case over the simulator's two sources.
void Declare(const GoldenCase& given, StreamingContext& ssc) {
  const DStream<std::string> pushed = ssc.PushStream("pushed");
  const DStream<std::string> lines = pushed.Union(ssc.TextFileStream("/in"));
  const golden::Streams streams{
      Source<std::string>(given, "words", 0, lines, golden::ToText),
      Source<std::string>(given, "more", 1, lines, golden::ToText),
      Source<int64_t>(given, "numbers", 2, lines, golden::ToNumber),
      Source<std::pair<std::string, int64_t>>(given, "pairs", 3, lines, golden::ToPair),
      "/out/golden",
      golden::Calls()};
  (*golden::FindJob(given.job))({ssc, nullptr, "/out/golden"}, streams);
}

std::vector<std::string> Files() {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path().stem());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Sees, when all cases have run, that they met what makes replays.
class Recoveries : public testing::Environment {
 public:
  void TearDown() override {
    if (cases < 50) return;  // only some were asked for
    for (const char* what : {"recovery: state loaded from parts", "recovery: batch rebuilt",
                             "recovery: job driver restored from a manifest",
                             "recovery: task tried again"}) {
      EXPECT_GT(counters[what], 0u) << what;
    }
  }
  Counters counters;
  int cases = 0;
};
Recoveries* const recoveries = [] {
  auto* all = new Recoveries;
  testing::AddGlobalTestEnvironment(all);
  return all;
}();

class GoldenSimTest : public testing::TestWithParam<std::string> {};

TEST_P(GoldenSimTest, GivesWhatTheReferenceGives) {
  FLAGS_minloglevel = google::FATAL;
  const GoldenCase given =
      golden::ReadGoldenFile(std::string(kFolder) + "/" + GetParam() + ".txt");
  ASSERT_EQ(given.error, "");
  uint64_t rows = 0;
  for (uint64_t i = 0; i < kSeeds; ++i) {
    // Other seeds for every case, the same at every run.
    const uint64_t seed = 1'000'000 + 100 * (std::hash<std::string>()(GetParam()) % 10'000) + i;
    const int64_t interval_ms = kIntervalsMs[seed % std::size(kIntervalsMs)];
    StreamingContext ssc(
        {.name = "golden", .batch_interval = std::chrono::milliseconds(interval_ms)});
    Declare(given, ssc);
    ASSERT_TRUE(ssc.Check().ok()) << ssc.Check().message;
    const Job job{&ssc.graph(), {}, interval_ms};
    const RunResult run = RunJob(job, seed, &recoveries->counters, /*trace=*/false);
    for (const std::string& broken : run.broken) ADD_FAILURE() << "seed " << seed << ": " << broken;
    rows += run.rows_compared;
  }
  ++recoveries->cases;
  const uint64_t expected_min = GetParam() == "sample_none" ? 0 : 1;
  EXPECT_GE(rows, expected_min) << "nothing was compared";
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenSimTest, testing::ValuesIn(Files()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace sluice::sim
