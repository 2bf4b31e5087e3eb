#include "driver/api/scripted_program.h"

namespace sluice {
namespace {

TEST(Transform, FunctionsSeeTheTimeOfTheBatch) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines
        .Transform([](const auto& stream, BatchTime time) {
          return stream.Map([time](std::string_view line) {
            return std::string(line) + "@" + std::to_string(time.ms());
          });
        })
        .Print();
  });
  EXPECT_EQ(program.Sorted({{"a"}, {"b"}}), (Rows{"a@1000", "b@1000"}));
  EXPECT_EQ(program.Sorted({{"a"}}), Rows{"a@2000"});
}

TEST(Transform, TheTimeIsKnownBehindAShuffleToo) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines
        .Transform([](const auto& stream, BatchTime time) {
          return stream.CountByValue().MapValues(
              [time](int64_t count) { return count * 10 + time.ms() / 1000; });
        })
        .Print();
  });
  EXPECT_EQ(program.Sorted({{"a", "a"}, {"b"}}), (Rows{"(a,21)", "(b,11)"}));
}

TEST(Transform, WithTwoStreams) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    const auto short_lines =
        lines.Filter([](std::string_view line) { return line.size() == 1; });
    lines
        .TransformWith(short_lines, [](const auto& all, const auto& some, BatchTime) {
          return all.Union(some);
        })
        .Print();
  });
  EXPECT_EQ(program.Sorted({{"a", "bb"}}), (Rows{"a", "a", "bb"}));
}

TEST(Transform, ManyStreams) {
  ScriptedProgram program([](StreamingContext& ssc, DStream<std::string> lines) {
    ssc.Transform({lines, lines},
                  [&ssc](const std::vector<DStream<std::string>>& streams, BatchTime) {
                    return ssc.Union(streams).Count();
                  })
        .Print();
  });
  EXPECT_EQ(program.Sorted({{"a", "b"}}), Rows{"4"});
}

TEST(Transform, StreamsOfAnotherSlideAreRefused) {
  StreamingContext ssc({.name = "test", .batch_interval = std::chrono::seconds(1)});
  const auto lines = ssc.QueueStream<std::string>(RecordQueue<std::string>());
  const auto slow = lines.Window({.length = std::chrono::seconds(2),
                                  .slide = std::chrono::seconds(2)});
  lines.TransformWith(slow, [](const auto& a, const auto&, BatchTime) { return a; }).Print();
  EXPECT_EQ(ssc.Check().exit_code, 3);
}

// It ended the program: the function was called with nothing to begin from.
TEST(Transform, OfNoStreamsIsRefused) {
  StreamingContext ssc({.name = "test", .batch_interval = std::chrono::seconds(1)});
  ssc.Transform(std::vector<DStream<std::string>>(),
                [](const std::vector<DStream<std::string>>& streams, BatchTime) {
                  return streams.front().Count();
                })
      .Print();
  EXPECT_EQ(ssc.Check().exit_code, 3);
  EXPECT_EQ(ssc.Check().message, "Transform needs at least one stream");
}

TEST(PerBatch, FunctionsSeeWhatTheJobDriverFound) {
  ScriptedProgram program([](StreamingContext& ssc, DStream<std::string> lines) {
    const auto limit = ssc.PerBatch("limit", [](int64_t batch_ms) { return batch_ms / 1000; });
    const auto word = ssc.PerBatch("word", [](int64_t) { return std::string("x"); });
    lines
        .Filter([limit](std::string_view line) { return int64_t(line.size()) <= *limit; })
        .Map([word](std::string_view line) { return word.Get() + std::string(line); })
        .Print();
  });
  EXPECT_EQ(program.Sorted({{"a", "bb"}}), Rows{"xa"});
  EXPECT_EQ(program.Sorted({{"a", "bb"}}), (Rows{"xa", "xbb"}));
}

TEST(PerBatch, OutsideOfABatchNothingIsKnown) {
  EXPECT_THROW(BatchTime().ms(), std::logic_error);
  EXPECT_THROW(*BatchValue<int64_t>(0), std::logic_error);
}

TEST(PerBatch, TwoOfOneNameAreRefused) {
  StreamingContext ssc({.name = "test", .batch_interval = std::chrono::seconds(1)});
  ssc.QueueStream<std::string>(RecordQueue<std::string>()).Print();
  ssc.PerBatch("limit", [](int64_t) { return int64_t{1}; });
  ssc.PerBatch("limit", [](int64_t) { return int64_t{2}; });
  EXPECT_NE(ssc.Check().exit_code, 0);
}

}  // namespace
}  // namespace sluice
