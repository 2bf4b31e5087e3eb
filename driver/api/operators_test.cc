// What the operators give, run by the reference interpreter at several partition counts.
#include <gtest/gtest.h>

#include <algorithm>

#include "common/plan/interpreter.h"
#include "driver/api/api.h"

namespace sluice {
namespace {

using Rows = std::vector<std::string>;

// Runs a program on scripted batches of lines; a batch is a list of tasks, a task a list of lines.
class Program {
 public:
  explicit Program(void (*build)(StreamingContext&, DStream<std::string>), uint32_t partitions = 2)
      : context_({.name = "test", .batch_interval = std::chrono::seconds(1)}) {
    build(context_, context_.QueueStream<std::string>(RecordQueue<std::string>()));
    const Outcome outcome = context_.Check();
    EXPECT_TRUE(outcome.ok()) << outcome.message;
    interpreter_.emplace(context_.graph(), partitions, 1024, 0, 1000);
  }

  // The output's partitions at the next batch.
  std::vector<Rows> Parts(const std::vector<Rows>& tasks, size_t output = 0) {
    ReferenceInterpreter::TaskInputs inputs;
    for (const Rows& task : tasks) {
      RecordBatch batch;
      for (const std::string& line : task) batch.Append(line);
      EncodeBatch(batch.view(), inputs.emplace_back().emplace_back());
    }
    results_ = interpreter_->RunBatch({inputs}, now_ms_ += 1000);
    return results_[output].parts;
  }
  // All rows, sorted; {"none"} for no dataset.
  Rows Sorted(const std::vector<Rows>& tasks, size_t output = 0) {
    Rows all;
    for (const Rows& part : Parts(tasks, output)) all.insert(all.end(), part.begin(), part.end());
    std::sort(all.begin(), all.end());
    if (!results_[output].has_dataset) return {"none"};
    return all;
  }

  StreamingContext& context() { return context_; }

 private:
  StreamingContext context_;
  std::optional<ReferenceInterpreter> interpreter_;
  std::vector<ReferenceInterpreter::OutputResult> results_;
  int64_t now_ms_ = 0;
};

auto PairWithOne = [](std::string_view word) { return std::pair{word, int64_t{1}}; };

TEST(Operators, WordCountGivesTheSameAtAnyPartitionCount) {
  for (const uint32_t partitions : {1, 2, 7}) {
    Program program(
        [](StreamingContext&, DStream<std::string> lines) {
          auto counts = lines.FlatMap(SplitWords).Map(PairWithOne).ReduceByKey(std::plus<>());
          static_assert(
              std::same_as<decltype(counts), DStream<std::pair<std::string, int64_t>>>);
          counts.Print(100);
        },
        partitions);
    EXPECT_EQ(program.Sorted({{"to be  or", "not to be"}, {}, {"\tor "}}),
              (Rows{"(be,2)", "(not,1)", "(or,2)", "(to,2)"}));
    EXPECT_EQ(program.Sorted({{}}), Rows{});
    EXPECT_EQ(program.Parts({}).size(), partitions);
  }
}

TEST(Operators, ReduceByKeyKeepsTheOrderOfFirstArrival) {
  Program program(
      [](StreamingContext&, DStream<std::string> lines) {
        lines.FlatMap(SplitWords).Map(PairWithOne).ReduceByKey(std::plus<>()).Print(100);
      },
      1);
  EXPECT_EQ(program.Parts({{"b a b"}, {"c a"}}), (std::vector<Rows>{{"(b,2)", "(a,2)", "(c,1)"}}));
}

TEST(Operators, StateIsEmittedForAllKeysAtEveryBatch) {
  for (const uint32_t partitions : {1, 3}) {
    Program program(
        [](StreamingContext&, DStream<std::string> lines) {
          lines.FlatMap(SplitWords)
              .Map(PairWithOne)
              .UpdateStateByKey("totals", [](std::span<const int64_t> values,
                                             std::optional<int64_t> total) {
                for (const int64_t v : values) total = total.value_or(0) + v;
                return total == 3 ? std::nullopt : total;  // three forgets
              })
              .Print(100);
        },
        partitions);
    EXPECT_EQ(program.Sorted({{"a b a"}}), (Rows{"(a,2)", "(b,1)"}));
    EXPECT_EQ(program.Sorted({{}}), (Rows{"(a,2)", "(b,1)"}));
    EXPECT_EQ(program.Sorted({{"a"}}), (Rows{"(b,1)"}));
    EXPECT_EQ(program.Sorted({{"a"}}), (Rows{"(a,1)", "(b,1)"}));
  }
}

TEST(Operators, CountAndReduceOfAnEmptyBatch) {
  Program program([](StreamingContext&, DStream<std::string> lines) {
    lines.Count().Print();
    lines.Map([](std::string_view line) { return line.size(); }).Reduce(std::plus<>()).Print();
  });
  EXPECT_EQ(program.Sorted({{"a", "bb"}, {"ccc"}}, 0), Rows{"3"});
  EXPECT_EQ(program.Sorted({{"a", "bb"}, {"ccc"}}, 1), Rows{"6"});
  EXPECT_EQ(program.Sorted({{}}, 0), Rows{"0"});
  EXPECT_EQ(program.Sorted({{}}, 1), Rows{});
  EXPECT_EQ(program.Sorted({}, 0), Rows{"0"});
}

TEST(Operators, UnionPutsTheLeftPartitionsFirst) {
  Program program([](StreamingContext&, DStream<std::string> lines) {
    auto upper = lines.Map([](const std::string& line) { return line + "!"; });
    lines.Filter([](std::string_view line) { return line != "x"; }).Union(upper).Print(100);
  });
  EXPECT_EQ(program.Parts({{"x", "y"}, {"z"}}),
            (std::vector<Rows>{{"y"}, {"z"}, {"x!", "y!"}, {"z!"}}));
}

TEST(Operators, GroupByKeyKeepsTheOrderOfValues) {
  Program program([](StreamingContext&, DStream<std::string> lines) {
    lines.Map([](std::string_view line) { return std::pair{line.substr(0, 1), line.substr(1)}; })
        .GroupByKey({.partitions = 1})
        .MapValues([](const std::vector<std::string_view>& values) {
          return std::vector<std::string>(values.begin(), values.end());
        })
        .Print(100);
  });
  EXPECT_EQ(program.Parts({{"a3", "b1"}, {"a1", "a2"}}),
            (std::vector<Rows>{{"(a,[3,1,2])", "(b,[1])"}}));
}

TEST(Operators, RepartitionSpreadsOverExactlyThatManyPartitions) {
  Program program([](StreamingContext&, DStream<std::string> lines) {
    lines.Repartition(3).Print(100);
  });
  EXPECT_EQ(program.Parts({{"a", "b", "c", "d"}}),
            (std::vector<Rows>{{"a", "d"}, {"b"}, {"c"}}));
}

TEST(Operators, CountByValueAndMapPartitions) {
  Program program([](StreamingContext&, DStream<std::string> lines) {
    lines.CountByValue().Print(100);
    lines
        .MapPartitions([](std::span<const std::string> records) {
          return std::vector<int64_t>{static_cast<int64_t>(records.size())};
        })
        .Print(100);
  });
  EXPECT_EQ(program.Sorted({{"a", "b"}, {"a"}}, 0), (Rows{"(a,2)", "(b,1)"}));
  EXPECT_EQ(program.Parts({{"a", "b"}, {}}, 1), (std::vector<Rows>{{"2"}, {"0"}}));
}

TEST(Operators, PrintTakesOneMoreThanItShows) {
  Program program([](StreamingContext&, DStream<std::string> lines) { lines.Print(2); });
  EXPECT_EQ(program.Parts({{"a", "b", "c", "d"}}), (std::vector<Rows>{{"a", "b", "c"}}));
}

}  // namespace
}  // namespace sluice
