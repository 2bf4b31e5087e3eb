#include "driver/api/scripted_program.h"

namespace sluice {
namespace {

// By the first letter: a is 0, b is 1, and so on.
uint64_t ByInitial(std::string_view word, uint32_t partitions) {
  return static_cast<uint64_t>(word.front() - 'a') % partitions;
}
Partitioner Initials() { return PartitionBy<std::string>(ByInitial); }

auto Numbered(DStream<std::string> lines) {
  return lines.Map([](std::string_view line) { return std::pair{line, int64_t{1}}; });
}

TEST(PartitionerTest, SaysWhereKeysGo) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    const ShuffleOptions three{.partitions = 3, .partitioner = Initials()};
    Numbered(lines).ReduceByKey(std::plus<>(), three).Print();
    Numbered(lines).GroupByKey(three).Print();
    lines.Distinct(three).Print();
    lines.CountByValue(three).Print();
    Numbered(lines).Join(Numbered(lines), three).Print();
  });
  const std::vector<Rows> input{{"bob", "abe", "ann"}, {"eve", "cid", "bob"}};
  EXPECT_EQ(program.Parts(input, 0),
            (std::vector<Rows>{{"(abe,1)", "(ann,1)"}, {"(bob,2)", "(eve,1)"}, {"(cid,1)"}}));
  EXPECT_EQ(program.Parts(input, 1), (std::vector<Rows>{{"(abe,[1])", "(ann,[1])"},
                                                        {"(bob,[1,1])", "(eve,[1])"},
                                                        {"(cid,[1])"}}));
  EXPECT_EQ(program.Parts(input, 2), (std::vector<Rows>{{"abe", "ann"}, {"bob", "eve"}, {"cid"}}));
  EXPECT_EQ(program.Parts(input, 3),
            (std::vector<Rows>{{"(abe,1)", "(ann,1)"}, {"(bob,2)", "(eve,1)"}, {"(cid,1)"}}));
  EXPECT_EQ(program.Parts({{"ann", "bob"}}, 4),
            (std::vector<Rows>{{"(ann,(1,1))"}, {"(bob,(1,1))"}, {}}));
}

// It had to take views, and for a pair say so.
TEST(PartitionerTest, ItMayTakeAKeyAsWhatItIs) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    using Key = std::pair<std::string, int64_t>;
    lines
        .Distinct({.partitions = 2,
                   .partitioner = PartitionBy<std::string>(
                       [](const std::string& key, uint32_t n) { return key.size() % n; })})
        .Print();
    Numbered(lines)
        .Distinct({.partitions = 2,
                   .partitioner = PartitionBy<Key>(
                       [](const Key& key, uint32_t n) { return key.first.size() % n; })})
        .Print();
  });
  EXPECT_EQ(program.Parts({{"a", "bb"}}), (std::vector<Rows>{{"bb"}, {"a"}}));
  EXPECT_EQ(program.Parts({{"a", "bb"}}, 1), (std::vector<Rows>{{"(bb,1)"}, {"(a,1)"}}));
}

TEST(PartitionerTest, StateAndItsInitialValuesFollowIt) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    Numbered(lines)
        .UpdateStateByKey(
            "counts",
            [](std::span<const int64_t> ones, std::optional<int64_t> count) {
              return std::optional<int64_t>(count.value_or(0) + std::ssize(ones));
            },
            {.partitions = 2, .initial_state = {{"bea", 7}, {"ada", 5}}, .partitioner = Initials()})
        .Print();
  });
  EXPECT_EQ(program.Parts({{"abe", "bob"}}),
            (std::vector<Rows>{{"(ada,5)", "(abe,1)"}, {"(bea,7)", "(bob,1)"}}));
}

TEST(PartitionerTest, WindowsFollowIt) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    Numbered(lines)
        .ReduceByKeyAndWindow(std::plus<>(), {.length = std::chrono::seconds(2),
                                              .partitions = 2,
                                              .partitioner = Initials()})
        .Print();
  });
  program.Parts({{"abe", "bob"}});
  EXPECT_EQ(program.Parts({{"bob"}}), (std::vector<Rows>{{"(abe,1)"}, {"(bob,2)"}}));
}

TEST(PartitionerTest, ANumberThatIsNoPartitionFailsTheTask) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines
        .Distinct({.partitions = 2,
                   .partitioner = PartitionBy<std::string>(
                       [](std::string_view, uint32_t partitions) { return partitions; })})
        .Print();
  });
  EXPECT_THROW(program.Parts({{"a"}}), std::out_of_range);
}

TEST(PartitionerTest, OneForAnotherTypeOfKeyIsRefused) {
  StreamingContext ssc({.name = "test", .batch_interval = std::chrono::seconds(1)});
  ssc.QueueStream<int64_t>(RecordQueue<int64_t>()).Distinct({.partitioner = Initials()}).Print();
  EXPECT_EQ(ssc.Check().exit_code, 3);
  EXPECT_EQ(ssc.Check().message, "Distinct has a partitioner for another type of key");
}

}  // namespace
}  // namespace sluice
