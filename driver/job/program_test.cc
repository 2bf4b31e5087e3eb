#include "driver/job/program.h"

#include <gtest/gtest.h>

#include "driver/job/job_state.h"

namespace sluice {
namespace {

// Sources: a directory, and a pushed stream; a state over both; an output. With `before`, one more
// source and one more operator are declared first.
LineageGraph Program(bool before, const std::string& type = "text -> int64",
                     uint32_t partitions = 0,
                     std::shared_ptr<const KeyPartitioner> partitioner = nullptr) {
  LineageGraph graph;
  if (before) {
    Node extra;
    extra.source.kind = SourceKind::kPush;
    extra.source.stream = "extra";
    graph.AddNode(extra);
    Node other;
    other.kind = NodeKind::kShuffle;
    other.label = "Distinct";
    other.inputs.push_back({0, "", nullptr, nullptr});
    graph.AddNode(other);
    Output print;
    print.label = "Print";
    print.parent = 1;
    graph.AddOutput(print);
  }
  const NodeId first = static_cast<NodeId>(graph.nodes().size());
  Node files;
  files.label = "TextFileStream files-0";
  files.source.kind = SourceKind::kFiles;
  files.source.stream = "files-0";
  files.source.directory = "/in";
  graph.AddNode(files);
  Node push;
  push.source.kind = SourceKind::kPush;
  push.source.stream = "orders";
  graph.AddNode(push);
  Node state;
  state.kind = NodeKind::kShuffle;
  state.label = "UpdateStateByKey totals";
  state.state_name = "totals";
  state.state_type = type;
  state.partitions = partitions;
  state.partitioner = std::move(partitioner);
  state.inputs = {{first, "", nullptr, nullptr}, {first + 1, "", nullptr, nullptr}};
  graph.AddNode(state);
  Output out;
  out.kind = OutputKind::kTextFiles;
  out.prefix = "/out/totals";
  out.parent = first + 2;
  graph.AddOutput(out);
  return graph;
}

proto::ProgramSeen Seen(const LineageGraph& graph) {
  proto::ProgramSeen seen;
  DescribeProgram(StagePlan(graph, 4), &seen);
  return seen;
}

proto::Entry EntryOf(const proto::ProgramSeen& seen) {
  proto::Entry entry;
  *entry.mutable_program_seen() = seen;
  return entry;
}

TEST(ProgramTest, TheSameProgramChangesNothing) {
  const proto::ProgramSeen seen = Seen(Program(false));
  EXPECT_FALSE(Renumbering(seen, seen).changes);
  const ProgramChange change = CompareState(seen, seen);
  EXPECT_EQ(change.refused, "");
  EXPECT_TRUE(change.dropped.empty());
  EXPECT_TRUE(change.fresh.empty());
}

// Files were read again, and producers' numbers forgotten, when a source was declared before.
TEST(ProgramTest, WhatIsKnownOfASourceFollowsItToItsNewNumber) {
  const LineageGraph before = Program(false), after = Program(true);
  const proto::ProgramSeen first = Seen(before), second = Seen(after);
  JobState state;
  ASSERT_TRUE(state.Apply(EntryOf(first)).ok());
  proto::DriverState kept = state.Keep(1);
  auto& file = *kept.add_files();
  file.set_stream(first.sources(0).stage());
  file.set_path("/in/a");
  auto& producer = *kept.add_producers();
  producer.set_stream(1);
  producer.set_producer("p");
  producer.set_last(42);
  JobState resumed;
  resumed.Restore(kept);
  ASSERT_TRUE(resumed.FileTaken(first.sources(0).stage(), "/in/a"));
  ASSERT_TRUE(resumed.Apply(EntryOf(second)).ok());
  uint32_t files_stage = 99;
  for (const auto& source : second.sources()) {
    if (source.key().find("/in") != std::string::npos) files_stage = source.stage();
  }
  ASSERT_NE(files_stage, first.sources(0).stage());
  EXPECT_TRUE(resumed.FileTaken(files_stage, "/in/a"));
  EXPECT_EQ(resumed.TakenFileAt(files_stage, "/in/a")->stream(), files_stage);
  EXPECT_EQ(resumed.LastOfProducer(3, "p"), 42);
  EXPECT_EQ(resumed.LastOfProducer(1, "p"), 0);
  // And back again.
  ASSERT_TRUE(resumed.Apply(EntryOf(first)).ok());
  EXPECT_TRUE(resumed.FileTaken(first.sources(0).stage(), "/in/a"));
  EXPECT_EQ(resumed.LastOfProducer(1, "p"), 42);
}

// Each key got a second entry, in the partition where it is looked for now.
TEST(ProgramTest, StateThatWasPlacedByAPartitionerIsNotTakenUpByHash) {
  class ToOne final : public KeyPartitioner {
   public:
    uint32_t PartitionOf(std::string_view, uint32_t) const override { return 0; }
  };
  const LineageGraph by_hash = Program(false);
  const LineageGraph placed = Program(false, "text -> int64", 0, std::make_shared<ToOne>());
  const ProgramChange change = CompareState(Seen(by_hash), Seen(placed));
  EXPECT_EQ(change.refused,
            "state totals is text -> int64 in the checkpoint and text -> int64, placed by a "
            "partitioner in the program");
  EXPECT_NE(CompareState(Seen(placed), Seen(by_hash)).refused, "");
  EXPECT_EQ(CompareState(Seen(placed), Seen(placed)).refused, "");
}

// A daemon that was away still held a covered block, and it was added again, to another source.
TEST(ProgramTest, WhatIsKnownOfAReceiverStaysUnderTheNumberThatIsInItsBlocksNames) {
  JobState state;
  ASSERT_TRUE(state.Apply(EntryOf(Seen(Program(false)))).ok());
  proto::Entry added;
  auto& block = *added.mutable_block_added()->mutable_block();
  block.mutable_name()->set_stream(1);
  block.mutable_name()->set_incarnation(99);
  block.mutable_name()->set_number(1);
  ASSERT_TRUE(state.Apply(added).ok());
  ASSERT_TRUE(state.Apply(EntryOf(Seen(Program(true)))).ok());
  EXPECT_EQ(state.LastNumber(1, 99), 1u);
}

TEST(ProgramTest, WhatIsKnownOfASourceThatIsGoneIsForgotten) {
  const proto::ProgramSeen with = Seen(Program(true)), without = Seen(Program(false));
  JobState state;
  ASSERT_TRUE(state.Apply(EntryOf(with)).ok());
  proto::DriverState kept = state.Keep(1);
  auto& producer = *kept.add_producers();
  producer.set_producer("p");  // of node 0, the extra stream
  producer.set_last(7);
  JobState resumed;
  resumed.Restore(kept);
  ASSERT_TRUE(resumed.Apply(EntryOf(without)).ok());
  EXPECT_EQ(resumed.LastOfProducer(0, "p"), 0);  // that is the directory now
}

TEST(ProgramTest, ALogThatDoesNotSayMoreThanTheFingerprintIsTakenAsItIs) {
  JobState state;
  proto::Entry old;
  old.mutable_program_seen()->set_graph_fingerprint(5);
  ASSERT_TRUE(state.Apply(old).ok());
  proto::DriverState kept = state.Keep(1);
  auto& producer = *kept.add_producers();
  producer.set_stream(1);
  producer.set_producer("p");
  producer.set_last(42);
  JobState resumed;
  resumed.Restore(kept);
  ASSERT_TRUE(resumed.Apply(EntryOf(Seen(Program(false)))).ok());
  EXPECT_EQ(resumed.LastOfProducer(1, "p"), 42);
}

TEST(ProgramTest, StateOfAnotherTypeIsRefusedWithBothTypes) {
  const ProgramChange change =
      CompareState(Seen(Program(false)), Seen(Program(false, "text -> double")));
  EXPECT_EQ(change.refused,
            "state totals is text -> int64 in the checkpoint and text -> double in the program");
}

TEST(ProgramTest, StateThatCannotSpreadIsRefusedInAnotherNumberOfPartitions) {
  const ProgramChange change =
      CompareState(Seen(Program(false)), Seen(Program(false, "text -> int64", 8)));
  EXPECT_EQ(change.refused,
            "state totals has 4 partitions in the checkpoint and 8 in the program, and its "
            "operator cannot divide it anew");
}

TEST(ProgramTest, StateThatSpreadsMayHaveAnotherNumberOfPartitions) {
  proto::ProgramSeen now = Seen(Program(false, "text -> int64", 8));
  now.mutable_states(0)->set_spreads(true);
  const ProgramChange change = CompareState(Seen(Program(false)), now);
  EXPECT_EQ(change.refused, "");
  EXPECT_EQ(change.spread, (std::map<std::string, uint32_t>{{"totals", 4}}));
}

// Under another interval: what ends between two of the held batches cannot be told.
TEST(ProgramTest, BatchesThatAreHeldMustFitTheNewSlide) {
  proto::ProgramSeen former = Seen(Program(false));
  former.mutable_states(0)->set_slide_ms(1000);
  for (const auto& [slide_ms, fits] : {std::pair{1000, true}, {2000, true}, {500, false},
                                       {1500, false}}) {
    proto::ProgramSeen now = former;
    now.mutable_states(0)->set_slide_ms(slide_ms);
    EXPECT_EQ(CompareState(former, now).refused.empty(), fits) << slide_ms;
  }
  EXPECT_NE(CompareState(former, [&] {
              proto::ProgramSeen now = former;
              now.mutable_states(0)->set_slide_ms(500);
              return now;
            }()).refused.find("has a batch every 1000 ms, of which a slide of 500 ms"),
            std::string::npos);
}

TEST(ProgramTest, StateThatOneOfThemDoesNotHaveIsNamed) {
  proto::ProgramSeen seen = Seen(Program(false));
  proto::ProgramSeen renamed = seen;
  renamed.mutable_states(0)->set_name("sums");
  const ProgramChange change = CompareState(seen, renamed);
  EXPECT_EQ(change.refused, "");
  EXPECT_EQ(change.dropped, std::vector<std::string>{"totals"});
  EXPECT_EQ(change.fresh, std::vector<std::string>{"sums"});
}

// Two windows of one program kept each other's state when one before them was taken away.
TEST(ProgramTest, AShapeIsOfWhatANodeReadsAndNotOfItsPlace) {
  const LineageGraph before = Program(false), after = Program(true);
  EXPECT_EQ(before.node(2).shape, after.node(4).shape);
  EXPECT_EQ(before.node(0).shape, after.node(2).shape);
  EXPECT_NE(before.node(0).shape, before.node(1).shape);
}

}  // namespace
}  // namespace sluice
