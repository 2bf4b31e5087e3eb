// Windows against a plain recomputation, batch by batch.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "common/plan/interpreter.h"
#include "driver/api/api.h"

namespace sluice {
namespace {

using std::chrono::seconds;
using Rows = std::vector<std::string>;

struct Shape {
  int length;
  int slide;
};

class WindowsTest : public testing::TestWithParam<std::tuple<Shape, uint32_t>> {
 protected:
  Shape shape() const { return std::get<0>(GetParam()); }
  WindowOptions window() const { return {.length = seconds(shape().length),
                                         .slide = seconds(shape().slide)}; }

  void Declare() {
    auto lines = context_.QueueStream<std::string>(RecordQueue<std::string>());
    auto pairs = lines.FlatMap(SplitWords).Map([](std::string_view word) {
      return std::pair{word.substr(0, 1), int64_t{word.back()}};
    });
    lines.Window(window()).Print(1000);
    pairs.ReduceByKeyAndWindow(std::plus<>(), window()).Print(1000);
    pairs.ReduceByKeyAndWindow(std::plus<>(), std::minus<>(), window()).Print(1000);
    // Not commutative: shows that older comes before newer.
    pairs.Map([](const std::pair<std::string_view, int64_t>& p) {
           return std::pair{p.first, std::string(1, static_cast<char>(p.second))};
         })
        .ReduceByKeyAndWindow([](const std::string& a, const std::string& b) { return a + b; },
                              window())
        .Print(1000);
    const Outcome outcome = context_.Check();
    ASSERT_TRUE(outcome.ok()) << outcome.message;
    interpreter_.emplace(context_.graph(), std::get<1>(GetParam()), 64, 5000, 1000);
  }

  void RunBatch(const Rows& lines) {
    batches_.push_back(lines);
    RecordBatch batch;
    for (const std::string& line : lines) batch.Append(line);
    ReferenceInterpreter::TaskInputs inputs(1);
    EncodeBatch(batch.view(), inputs[0].emplace_back());
    results_ = interpreter_->RunBatch({inputs}, 5000 + 1000 * int64_t(batches_.size()));
  }

  Rows Sorted(size_t output) const {
    Rows all;
    for (const Rows& part : results_[output].parts) all.insert(all.end(), part.begin(), part.end());
    std::sort(all.begin(), all.end());
    return all;
  }

  void CheckAgainstRecomputation() const {
    const int tick = static_cast<int>(batches_.size());
    const bool emits = tick % shape().slide == 0;
    for (const auto& result : results_) EXPECT_EQ(result.has_dataset, emits);
    if (!emits) return;
    Rows lines;
    std::map<std::string, int64_t> sums;
    std::map<std::string, std::string> texts;
    for (int i = std::max(0, tick - shape().length); i < tick; ++i) {
      for (const std::string& line : batches_[i]) {
        lines.push_back(line);
        for (const std::string_view word : SplitWords(line)) {
          const std::string key(word.substr(0, 1));
          sums[key] += word.back();
          texts[key] += word.back();
        }
      }
    }
    Rows sum_rows, text_rows;
    for (const auto& [key, sum] : sums) {
      sum_rows.push_back("(" + key + "," + std::to_string(sum) + ")");
    }
    for (const auto& [key, text] : texts) text_rows.push_back("(" + key + "," + text + ")");
    std::sort(lines.begin(), lines.end());
    EXPECT_EQ(Sorted(0), lines);
    EXPECT_EQ(Sorted(1), sum_rows);
    EXPECT_EQ(Sorted(2), sum_rows);
    EXPECT_EQ(Sorted(3), text_rows);
  }

  StreamingContext context_{{.name = "test", .batch_interval = seconds(1)}};
  std::optional<ReferenceInterpreter> interpreter_;
  std::vector<Rows> batches_;
  std::vector<ReferenceInterpreter::OutputResult> results_;
};

TEST_P(WindowsTest, EqualsRecomputation) {
  Declare();
  std::mt19937 random(7);
  for (int batch = 0; batch < 70; ++batch) {
    Rows lines;
    const int count = batch % 11 > 7 ? 0 : static_cast<int>(random() % 4);  // some runs are empty
    for (int i = 0; i < count; ++i) {
      std::string line;
      for (int word = 0; word < 3; ++word) {
        line += static_cast<char>('a' + random() % 5);
        line += static_cast<char>('0' + random() % 10);
        line += ' ';
      }
      lines.push_back(line);
    }
    RunBatch(lines);
    CheckAgainstRecomputation();
  }
}

TEST_P(WindowsTest, NothingIsHeldOnceTheWindowIsEmpty) {
  Declare();
  RunBatch({"a1 b2"});
  for (int i = 0; i < shape().length + 2 * shape().slide; ++i) RunBatch({});
  for (const Node& node : context_.graph().nodes()) {
    if (!node.state_name.empty()) {
      EXPECT_TRUE(interpreter_->State(node.id).empty()) << node.label;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, WindowsTest,
                         testing::Combine(testing::Values(Shape{1, 1}, Shape{3, 1}, Shape{4, 2},
                                                          Shape{2, 3}, Shape{5, 3}, Shape{6, 6},
                                                          Shape{9, 1}, Shape{24, 1}, Shape{21, 4}),
                                          testing::Values(1u, 3u)));

// What a program is told whose stream, of a slide of two batches, gets this window.
template <class AddWindow>
std::string Refusal(const AddWindow& add_window) {
  StreamingContext context({.name = "test", .batch_interval = seconds(1)});
  const auto slow = context.QueueStream<int64_t>(RecordQueue<int64_t>())
                        .Window({.length = seconds(2), .slide = seconds(2)});
  add_window(slow).Print();
  const Outcome outcome = context.Check();
  EXPECT_EQ(outcome.exit_code, outcome.message.empty() ? 0 : 3);
  return outcome.message;
}

TEST(WindowsBuild, LengthAndSlideMustBeMultiplesOfTheStreamsOwnSlide) {
  const std::string must = " must be a positive multiple of the stream's slide of 2000 ms; it is ";
  const auto window = [](int length, int slide) {
    return [=](const auto& s) {
      return s.Window({.length = seconds(length), .slide = seconds(slide)});
    };
  };
  EXPECT_EQ(Refusal(window(3, 2)), "Window length" + must + "3000 ms");
  EXPECT_EQ(Refusal(window(0, 2)), "Window length" + must + "0 ms");
  EXPECT_EQ(Refusal(window(-2, 2)), "Window length" + must + "-2000 ms");
  EXPECT_EQ(Refusal(window(4, 3)), "Window slide" + must + "3000 ms");
  EXPECT_EQ(Refusal(window(4, -2)), "Window slide" + must + "-2000 ms");
  EXPECT_EQ(Refusal(window(4, 6)), "");  // longer than the window, and no multiple of it
  EXPECT_EQ(Refusal(window(6, 4)), "");
}

TEST(WindowsBuild, EveryWindowIsChecked) {
  const WindowOptions odd{.length = seconds(4), .slide = seconds(3)};
  const std::plus<> sum;
  const std::minus<> difference;
  const auto one = [](int64_t n) { return std::pair{n, int64_t{1}}; };
  const auto all = [](int64_t, int64_t) { return true; };
  const std::vector<std::string> refusals = {
      Refusal([&](const auto& s) { return s.Map(one).ReduceByKeyAndWindow(sum, odd); }),
      Refusal([&](const auto& s) { return s.Map(one).ReduceByKeyAndWindow(sum, difference, odd); }),
      Refusal([&](const auto& s) {
        return s.Map(one).ReduceByKeyAndWindow(sum, difference, odd, all);
      }),
      Refusal([&](const auto& s) { return s.ReduceByWindow(sum, odd); }),
      Refusal([&](const auto& s) { return s.CountByWindow(odd); }),
      Refusal([&](const auto& s) { return s.CountByValueAndWindow(odd); }),
      Refusal([&](const auto& s) { return s.Map(one).GroupByKeyAndWindow(odd); })};
  for (const std::string& refusal : refusals) {
    EXPECT_NE(refusal.find(" slide must be a positive multiple"), std::string::npos) << refusal;
  }
}

TEST(WindowsBuild, AWindowOfAWindowSlidesByMultiplesOfItsParent) {
  StreamingContext context({.name = "test", .batch_interval = seconds(1)});
  auto lines = context.QueueStream<std::string>(RecordQueue<std::string>());
  auto slow = lines.Window({.length = seconds(2), .slide = seconds(2)});
  slow.Window({.length = seconds(4)}).Count().Print();
  EXPECT_TRUE(context.Check().ok());
  ReferenceInterpreter interpreter(context.graph(), 2, 64, 0, 1000);
  Rows counts;
  for (int tick = 1; tick <= 6; ++tick) {
    RecordBatch batch;
    batch.Append("line");
    ReferenceInterpreter::TaskInputs inputs(1);
    EncodeBatch(batch.view(), inputs[0].emplace_back());
    const auto results = interpreter.RunBatch({inputs}, tick * 1000);
    counts.push_back(results[0].has_dataset ? results[0].parts[0][0] : "none");
  }
  EXPECT_EQ(counts, (Rows{"none", "2", "none", "4", "none", "4"}));
  slow.Union(lines).Print();
  EXPECT_EQ(context.Check().message, "Union needs streams of the same slide");
}

}  // namespace
}  // namespace sluice
