// What golden cases cannot show of Slice: refusals, and how much is kept.
#include "driver/api/scripted_program.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

class SliceDeclared : public testing::Test {
 protected:
  Outcome Check() const { return ssc_.Check(); }

  StreamingContext ssc_{{.name = "test", .batch_interval = 1s}};
  DStream<std::string> lines_ = ssc_.QueueStream<std::string>(RecordQueue<std::string>());
};

TEST_F(SliceDeclared, EndsThatAreNoneAreRefused) {
  lines_.Slice({.from = 1s, .to = 2s}).Print();
  EXPECT_EQ(Check().exit_code, 3);
  EXPECT_TRUE(Check().message.starts_with("Slice needs .from at or before .to"));
}

TEST_F(SliceDeclared, AFutureEndIsRefused) {
  lines_.Slice({.from = 1s, .to = -1s}).Print();
  EXPECT_EQ(Check().exit_code, 3);
}

TEST_F(SliceDeclared, ChosenTimesNeedRemember) {
  lines_.Slice([](int64_t batch_ms) { return SliceTimes{batch_ms, batch_ms}; }).Print();
  EXPECT_EQ(Check().exit_code, 3);
  ssc_.Remember(5s);
  EXPECT_TRUE(Check().ok()) << Check().message;
}

TEST_F(SliceDeclared, RememberCountsOnce) {
  ssc_.Remember(5s);
  lines_.Print();
  EXPECT_TRUE(Check().ok());
  ssc_.Remember(6s);
  EXPECT_EQ(Check().exit_code, 3);
}

TEST_F(SliceDeclared, RememberNeedsADuration) {
  ssc_.Remember(0s);
  EXPECT_EQ(Check().exit_code, 3);
}

void Reaching(StreamingContext& ssc, DStream<std::string> lines) {
  ssc.Remember(3s);
  lines.Slice([](int64_t batch_ms) {
    return SliceTimes{std::min<int64_t>(batch_ms, 3000), batch_ms};
  }).Print();
}

TEST(Slice, ReachesBackAsFarAsRememberKeepsAndFailsByNameBeyond) {
  ScriptedProgram program(Reaching);
  for (const char* word : {"a", "b", "c", "d"}) program.Sorted({{word}});
  EXPECT_EQ(program.Sorted({{"e"}}), (Rows{"c", "d", "e"}));  // at 5 s: 3 s to 5 s
  try {
    program.Sorted({{"f"}});
    FAIL() << "a slice from 3 s at 6 s needs four datasets";
  } catch (const std::out_of_range& e) {
    EXPECT_EQ(std::string(e.what()),
              "a slice from 3000 at batch 6000 reaches beyond the 3000 ms that "
              "StreamingContext::Remember keeps");
  }
}

TEST(Slice, WhatNoSliceNeedsIsGone) {
  StreamingContext ssc({.name = "test", .batch_interval = 1s});
  const auto lines = ssc.QueueStream<std::string>(RecordQueue<std::string>());
  lines.Slice({.from = 2s, .to = 1s}).Print();
  ASSERT_TRUE(ssc.Check().ok());
  ReferenceInterpreter interpreter(ssc.graph(), 1, 1024, 0, 1000);
  for (int64_t batch = 1; batch <= 10; ++batch) {
    RecordBatch records;
    records.Append("word");
    ReferenceInterpreter::TaskInputs inputs(1);
    EncodeBatch(records.view(), inputs[0].emplace_back());
    interpreter.RunBatch({inputs}, batch * 1000);
  }
  // Three datasets, and the list of their times.
  EXPECT_EQ(interpreter.State(1).size(), 4u);
}

}  // namespace
}  // namespace sluice
