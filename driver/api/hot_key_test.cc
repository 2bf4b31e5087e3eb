// One key that has nine of ten records: what combines in the map task sends as little as ever, so
// that no partition is the slow one. Counted in records and bytes that cross to the reducers.
#include "driver/api/scripted_program.h"

namespace sluice {
namespace {

constexpr uint32_t kPartitions = 4;
constexpr int kKeys = 20;  // besides the hot one

int64_t One(std::string_view) { return 1; }
auto WordWithOne(std::string_view word) { return std::pair{word, int64_t{1}}; }
int64_t Plus(int64_t a, int64_t b) { return a + b; }

// Nine records of the hot key for each one of another.
RecordBatch Skewed(int records) {
  RecordBatch batch;
  for (int i = 0; i < records; ++i) {
    batch.Append(i % 10 != 0 ? "hot" : "key-" + std::to_string(i / 10 % kKeys));
  }
  return batch;
}

struct Sent {
  uint64_t records = 0;
  uint64_t bytes = 0;
  uint64_t records_to_one = 0;  // partition, at most
};

// What one map task sends for the shuffle that is node 1 of the program.
Sent SentBy(void (*build)(const DStream<std::string>&), const RecordBatch& input) {
  StreamingContext ssc({.name = "test", .batch_interval = std::chrono::seconds(1)});
  build(ssc.QueueStream<std::string>(RecordQueue<std::string>()));
  EXPECT_TRUE(ssc.Check().ok()) << ssc.Check().message;
  const Node& shuffle = ssc.graph().node(1);
  EXPECT_EQ(shuffle.kind, NodeKind::kShuffle);
  const auto kernel = shuffle.inputs[0].shuffle->New();
  TaskContext context;
  const BatchView view = input.view();
  kernel->Run(context, {&view, 1}, kPartitions);
  Sent sent;
  for (const RecordBatch& share : kernel->shares()) {
    sent.records += share.count();
    sent.bytes += share.size();
    sent.records_to_one = std::max<uint64_t>(sent.records_to_one, share.count());
  }
  return sent;
}

struct Combining {
  const char* name;
  void (*build)(const DStream<std::string>&);
};

class HotKeyTest : public testing::TestWithParam<Combining> {};

TEST_P(HotKeyTest, ATaskSendsNoMoreForAHundredTimesTheRecords) {
  const Sent small = SentBy(GetParam().build, Skewed(1'000));
  const Sent large = SentBy(GetParam().build, Skewed(100'000));
  EXPECT_EQ(large.records, small.records);
  EXPECT_EQ(large.bytes, small.bytes);
  EXPECT_LE(large.records, kKeys + 1u);       // each key once
  EXPECT_LE(large.records_to_one, kKeys + 1u);
}

using Lines = DStream<std::string>;
INSTANTIATE_TEST_SUITE_P(
    Operators, HotKeyTest,
    testing::Values(
        Combining{"ReduceByKey",
                  [](const Lines& lines) { lines.Map(WordWithOne).ReduceByKey(Plus).Print(); }},
        Combining{"CombineByKey",
                  [](const Lines& lines) {
                    lines.Map(WordWithOne)
                        .CombineByKey([](int64_t v) { return v; }, Plus, Plus)
                        .Print();
                  }},
        Combining{"CountByValue", [](const Lines& lines) { lines.CountByValue().Print(); }},
        Combining{"Distinct", [](const Lines& lines) { lines.Distinct().Print(); }},
        Combining{"Count", [](const Lines& lines) { lines.Count().Print(); }},
        Combining{"Reduce", [](const Lines& lines) { lines.Map(One).Reduce(Plus).Print(); }},
        Combining{"ReduceByKeyAndWindow",
                  [](const Lines& lines) {
                    lines.Map(WordWithOne)
                        .ReduceByKeyAndWindow(Plus, {.length = std::chrono::seconds(5)})
                        .Print();
                  }},
        Combining{"CountByValueAndWindow",
                  [](const Lines& lines) {
                    lines.CountByValueAndWindow({.length = std::chrono::seconds(5)}).Print();
                  }}),
    [](const auto& info) { return info.param.name; });

// What cannot combine sends all its records, and those of one key must come to one place.
TEST(HotKey, GroupingSendsEveryRecord) {
  const Sent sent = SentBy(
      [](const Lines& lines) { lines.Map(WordWithOne).GroupByKey().Print(); }, Skewed(1'000));
  EXPECT_EQ(sent.records, 1'000u);
  EXPECT_GE(sent.records_to_one, 900u);
}

}  // namespace
}  // namespace sluice
