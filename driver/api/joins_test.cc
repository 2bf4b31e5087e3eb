// CoGroup and the joins.
#include "driver/api/scripted_program.h"

namespace sluice {
namespace {

using Row = std::pair<std::string, std::string>;

// "<k1" is (k, 1) of the left stream, ">k1" of the right one.
DStream<Row> Side(const DStream<std::string>& lines, char side) {
  return lines.Filter([side](std::string_view line) { return line[0] == side; })
      .Map([](std::string_view line) { return std::pair{line.substr(1, 1), line.substr(2)}; });
}

const std::vector<Rows> kInput = {{"<b1", ">c9", "<a2"},
                                  {">a7", "<b3", ">a8", ">b6", ">d5", "<e4"}};

void AllJoins(StreamingContext&, DStream<std::string> lines) {
  const auto left = Side(lines, '<'), right = Side(lines, '>');
  left.CoGroup(right).Print(100);
  left.Join(right).Print(100);
  left.LeftOuterJoin(right).Print(100);
  left.RightOuterJoin(right).Print(100);
  left.FullOuterJoin(right).Print(100);
}

// Keys of the left in the order of their first records, then those that only the right has.
const std::vector<Rows> kJoined = {
    {"(b,([1,3],[6]))", "(a,([2],[7,8]))", "(e,([4],[]))", "(c,([],[9]))", "(d,([],[5]))"},
    {"(b,(1,6))", "(b,(3,6))", "(a,(2,7))", "(a,(2,8))"},
    {"(b,(1,Some(6)))", "(b,(3,Some(6)))", "(a,(2,Some(7)))", "(a,(2,Some(8)))", "(e,(4,None))"},
    {"(b,(Some(1),6))", "(b,(Some(3),6))", "(a,(Some(2),7))", "(a,(Some(2),8))", "(c,(None,9))",
     "(d,(None,5))"},
    {"(b,(Some(1),Some(6)))", "(b,(Some(3),Some(6)))", "(a,(Some(2),Some(7)))",
     "(a,(Some(2),Some(8)))", "(e,(Some(4),None))", "(c,(None,Some(9)))", "(d,(None,Some(5)))"}};

TEST(Joins, GiveKeysAndValuesInADefinedOrder) {
  for (size_t output = 0; output < kJoined.size(); ++output) {
    ScriptedProgram program(AllJoins, 1);
    EXPECT_EQ(program.Parts(kInput, output), std::vector<Rows>{kJoined[output]}) << output;
  }
}

// The number of the other stream's node was taken for one of this graph.
TEST(Joins, StreamsOfTwoContextsAreRefused) {
  StreamingContext one({.name = "one"}), other({.name = "other"});
  const auto left = Side(one.QueueStream<std::string>(RecordQueue<std::string>()), '<');
  const auto right = Side(other.QueueStream<std::string>(RecordQueue<std::string>()), '>');
  left.Join(right).Print();
  const Outcome outcome = one.Check();
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_NE(outcome.message.find("needs streams of one context"), std::string::npos);
}

TEST(Joins, GiveTheSameAtAnyPartitionCount) {
  for (const uint32_t partitions : {2, 7}) {
    for (size_t output = 0; output < kJoined.size(); ++output) {
      ScriptedProgram program(AllJoins, partitions);
      Rows expected = kJoined[output];
      std::sort(expected.begin(), expected.end());
      EXPECT_EQ(program.Sorted(kInput, output), expected) << output;
      EXPECT_EQ(program.Sorted({{}}, output), Rows{});  // nothing of the batch before
    }
  }
}

TEST(Joins, OfAnEmptySide) {
  const std::vector<std::vector<Rows>> expected = {
      {{"(a,([1],[]))"}, {}, {"(a,(1,None))"}, {}, {"(a,(Some(1),None))"}},
      {{"(a,([],[2]))"}, {}, {}, {"(a,(None,2))"}, {"(a,(None,Some(2)))"}}};
  for (size_t output = 0; output < kJoined.size(); ++output) {
    ScriptedProgram program(AllJoins);
    EXPECT_EQ(program.Sorted({{"<a1"}}, output), expected[0][output]) << output;
    EXPECT_EQ(program.Sorted({{">a2"}}, output), expected[1][output]) << output;
  }
}

TEST(Joins, TakeAnExplicitPartitionCount) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    Side(lines, '<').Join(Side(lines, '>'), {.partitions = 5}).Print(100);
  });
  EXPECT_EQ(program.Parts(kInput).size(), 5u);
}

TEST(Joins, OfAStreamWithItself) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    const auto left = Side(lines, '<');
    left.Join(left, {.partitions = 1}).Print(100);
  });
  EXPECT_EQ(program.Parts({{"<a1", "<a2"}}),
            (std::vector<Rows>{{"(a,(1,1))", "(a,(1,2))", "(a,(2,1))", "(a,(2,2))"}}));
}

TEST(Joins, MatchStreamsOfUnlikeValues) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    const auto counts = Side(lines, '<').Map([](const auto& row) { return row.first; })
                            .CountByValue();
    counts.RightOuterJoin(Side(lines, '>')).Print(100);
  });
  EXPECT_EQ(program.Sorted({{"<a1", "<a2", ">ax", ">bz"}}),
            (Rows{"(a,(Some(2),x))", "(b,(None,z))"}));
}

// A range of time on one side is a window of it.
TEST(Joins, WithAWindow) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    Side(lines, '<')
        .Window({.length = std::chrono::seconds(2)})
        .Join(Side(lines, '>'), {.partitions = 1})
        .Print(100);
  });
  EXPECT_EQ(program.Sorted({{"<a1"}}), Rows{});
  EXPECT_EQ(program.Sorted({{">a2"}}), Rows{"(a,(1,2))"});
  EXPECT_EQ(program.Sorted({{">a3"}}), Rows{});
}

TEST(Joins, RefuseStreamsOfAnotherSlide) {
  using std::chrono::seconds;
  StreamingContext ssc({.name = "test", .batch_interval = seconds(1)});
  const auto rows = Side(ssc.QueueStream<std::string>(RecordQueue<std::string>()), '<');
  rows.Window({.length = seconds(2), .slide = seconds(2)}).CoGroup(rows).Print();
  EXPECT_EQ(ssc.Check().exit_code, 3);
  EXPECT_EQ(ssc.Check().message, "CoGroup needs streams of the same slide");
}

}  // namespace
}  // namespace sluice
