#include "common/plan/stages.h"

#include <set>

#include "gtest/gtest.h"

namespace sluice {
namespace {

class GraphBuilder {
 public:
  NodeId Source(const std::string& stream) {
    Node node;
    node.kind = NodeKind::kSource;
    node.label = stream;
    node.source.stream = stream;
    return graph.AddNode(std::move(node));
  }
  NodeId Narrow(std::vector<NodeId> parents) { return Add(NodeKind::kNarrow, "Union", parents); }
  NodeId Shuffle(std::vector<NodeId> parents, uint32_t partitions = 0, int64_t slide = 1) {
    const NodeId id = Add(NodeKind::kShuffle, "ReduceByKey", parents, partitions, slide);
    return id;
  }
  NodeId State(NodeId parent) {
    Node node;
    node.kind = NodeKind::kShuffle;
    node.label = node.state_name = "totals";
    node.inputs.push_back({parent, "Map", nullptr, nullptr});
    return graph.AddNode(std::move(node));
  }
  void Print(NodeId parent) {
    Output output;
    output.label = "Print";
    output.parent = parent;
    graph.AddOutput(std::move(output));
  }
  LineageGraph graph;

 private:
  NodeId Add(NodeKind kind, const std::string& label, const std::vector<NodeId>& parents,
             uint32_t partitions = 0, int64_t slide = 1) {
    Node node;
    node.kind = kind;
    node.label = label;
    node.partitions = partitions;
    node.slide_batches = slide;
    for (const NodeId parent : parents) node.inputs.push_back({parent, "Map", nullptr, nullptr});
    return graph.AddNode(std::move(node));
  }
};

TEST(StagePlanTest, WordCountIsTwoStagesAndOneEdge) {
  GraphBuilder b;
  b.Print(b.Shuffle({b.Source("lines")}));
  const StagePlan plan(b.graph, 8);
  ASSERT_EQ(plan.stages().size(), 2u);
  EXPECT_TRUE(plan.stages()[0].is_source);
  EXPECT_EQ(plan.stages()[1].partitions, 8u);
  EXPECT_EQ(plan.stages()[1].upstream, std::vector<StageId>{0});
  ASSERT_EQ(plan.edges().size(), 1u);
  EXPECT_EQ(plan.stages()[1].output_pieces.size(), 1u);
}

TEST(StagePlanTest, AUnionOfTwoStagesHasItsLeftPartitionsFirst) {
  GraphBuilder b;
  const NodeId left = b.Shuffle({b.Source("a")}, 3);
  const NodeId right = b.Source("b");
  const NodeId both = b.Narrow({left, right});
  b.Print(both);
  b.Shuffle({both});
  const StagePlan plan(b.graph, 4);
  ASSERT_EQ(plan.output_pieces().size(), 2u);
  EXPECT_EQ(plan.fragments()[plan.output_pieces()[0].from].stage, plan.source_stage(0) + 1);
  EXPECT_EQ(plan.fragments()[plan.output_pieces()[1].from].stage, plan.source_stage(right));
  EXPECT_EQ(plan.stages().back().edges_in.size(), 2u);
  EXPECT_EQ(plan.stages().back().upstream.size(), 2u);
}

TEST(StagePlanTest, AUnionWithItselfKeepsBothSides) {
  GraphBuilder b;
  const NodeId source = b.Source("a");
  b.Print(b.Narrow({source, source}));
  const StagePlan plan(b.graph, 4);
  EXPECT_EQ(plan.output_pieces().size(), 2u);
  EXPECT_EQ(plan.stages()[0].fragments.size(), 3u);
}

TEST(StagePlanTest, AStageBelowASlideRunsOnlyAtTheSlide) {
  GraphBuilder b;
  const NodeId window = b.Shuffle({b.Source("a")}, 0, 3);
  const NodeId counts = b.Shuffle({window}, 0, 3);
  b.Print(counts);
  const StagePlan plan(b.graph, 4);
  EXPECT_TRUE(Presence(plan, 1).Runs(1));   // the window takes in every batch
  EXPECT_FALSE(Presence(plan, 1).Runs(2));  // and gives every third
  EXPECT_FALSE(Presence(plan, 2).Has(plan.edges()[1].from));
  EXPECT_TRUE(Presence(plan, 3).Runs(2));
}

TEST(PresenceTest, WithoutADatasetOnlyWhatHasStateRuns) {
  GraphBuilder b;
  const NodeId source = b.Source("a");
  b.Print(b.Shuffle({source}));
  b.Print(b.Shuffle({b.State(source)}));
  const StagePlan plan(b.graph, 4);
  const Presence absent(plan, 2, {plan.source_stage(source)});
  EXPECT_FALSE(absent.Runs(plan.source_stage(source)));
  EXPECT_FALSE(absent.Runs(1));
  EXPECT_FALSE(absent.Has(plan.output_pieces()[0].from));
  EXPECT_TRUE(absent.Runs(2));
  EXPECT_TRUE(absent.Runs(3));
  EXPECT_TRUE(absent.Has(plan.output_pieces()[1].from));
}

TEST(PresenceTest, LettersAreADatasetWhereThereWouldBeNone) {
  GraphBuilder b;
  const NodeId source = b.Source("a");
  b.Print(b.Shuffle({source}));
  const StagePlan plan(b.graph, 4);
  const Presence fed(plan, 2, {plan.source_stage(source)}, {1});
  EXPECT_FALSE(fed.Runs(plan.source_stage(source)));
  EXPECT_TRUE(fed.Runs(1));
  EXPECT_TRUE(fed.Has(plan.output_pieces()[0].from));
}

TEST(StagePlanTest, AnOperatorIsKnownByItsStateOrByWhatItDoesAndReads) {
  GraphBuilder former;
  NodeId source = former.Source("a");
  former.Shuffle({source});
  former.Shuffle({source});
  former.State(source);
  const StagePlan had(former.graph, 4);
  GraphBuilder changed;  // others are declared before
  changed.Shuffle({changed.Source("b")});
  source = changed.Source("a");
  changed.Shuffle({source});
  changed.Shuffle({source});
  changed.State(changed.Shuffle({source}));
  const StagePlan has(changed.graph, 7);
  EXPECT_EQ(had.OperatorKey(1), has.OperatorKey(3));
  EXPECT_EQ(had.OperatorKey(2), has.OperatorKey(4));
  EXPECT_EQ(had.OperatorKey(3), has.OperatorKey(6));
  const std::set<std::string> all = {had.OperatorKey(1), had.OperatorKey(2), had.OperatorKey(3),
                                     has.OperatorKey(1)};
  EXPECT_EQ(all.size(), 4u);
}

TEST(PresenceTest, AUnionHasWhatOneSideHas) {
  GraphBuilder b;
  const NodeId left = b.Source("a");
  const NodeId both = b.Narrow({left, b.Source("b")});
  b.Print(both);
  b.Print(b.Shuffle({both}));
  const StagePlan plan(b.graph, 4);
  const Presence absent(plan, 1, {plan.source_stage(left)});
  EXPECT_FALSE(absent.Has(plan.output_pieces()[0].from));
  EXPECT_TRUE(absent.Has(plan.output_pieces()[1].from));
  EXPECT_TRUE(absent.Runs(2));
}

TEST(OwnershipTest, IndexesFollowSlotsInOrder) {
  const Ownership owners({1, 3});
  EXPECT_EQ(owners.OwnerOf(0, 8), 0u);
  EXPECT_EQ(owners.OwnerOf(1, 8), 0u);
  EXPECT_EQ(owners.OwnerOf(2, 8), 1u);
  EXPECT_EQ(owners.OwnerOf(7, 8), 1u);
  EXPECT_EQ(owners.OwnerOf(0, 1), 0u);
}

TEST(KeyGroupTest, PartitionsAreRangesOfKeyGroups) {
  uint32_t previous = 0;
  for (uint64_t top = 0; top < 1024; ++top) {
    const uint32_t partition = PartitionOf(top << 54, 1024, 7);
    EXPECT_GE(partition, previous);
    previous = partition;
  }
  EXPECT_EQ(previous, 6u);
}

TEST(GraphTest, FingerprintSeesADifference) {
  GraphBuilder a, b, c;
  a.Print(a.Shuffle({a.Source("x")}));
  b.Print(b.Shuffle({b.Source("x")}));
  c.Print(c.Shuffle({c.Source("x")}, 5));
  EXPECT_EQ(a.graph.Fingerprint(), b.graph.Fingerprint());
  EXPECT_NE(a.graph.Fingerprint(), c.graph.Fingerprint());
  EXPECT_EQ(a.graph.Validate(), "");
  EXPECT_NE(GraphBuilder().graph.Validate(), "");
}

}  // namespace
}  // namespace sluice
