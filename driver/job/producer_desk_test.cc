// Producers of push streams: how many may be known, and when one is forgotten.
#include "driver/job/producer_desk.h"

#include <gtest/gtest.h>

#include "driver/job/job_driver_core_fixture.h"
#include "driver/job/log_recovery_fixture.h"

namespace sluice {
namespace {

constexpr uint32_t kPushed = 0;
constexpr uint32_t kOwn = 1;  // of a receiver of the program's own

LineageGraph Streams() {
  LineageGraph graph;
  for (const SourceKind kind : {SourceKind::kPush, SourceKind::kReceiver}) {
    Node source;
    source.kind = NodeKind::kSource;
    source.source.kind = kind;
    graph.AddNode(source);
  }
  return graph;
}

class ProducerDeskTest : public testing::Test {
 protected:
  ProducerDeskTest() {
    options_.push_producer_expiry_ms = 10'000;
    options_.push_producers_max = 2;
    proto::Entry begun;
    begun.mutable_job_begun()->set_job_instance(kInstance);
    begun.mutable_job_begun()->set_batch_interval_ms(1000);
    log_.Enqueue(begun);
  }
  void Add(const std::string& producer, uint32_t stream = kPushed) {
    proto::Entry entry;
    auto& block = *entry.mutable_block_added()->mutable_block();
    block.mutable_name()->set_stream(stream);
    block.mutable_name()->set_incarnation(8);
    block.mutable_name()->set_number(state_.LastNumber(stream, 8) + 1);
    block.set_records(3);
    block.set_reliable(true);
    auto& range = *block.add_producers();
    range.set_producer(producer);
    range.set_first(state_.LastOfProducer(stream, producer) + 1);
    range.set_last(range.first() + 2);
    log_.Enqueue(entry);
  }
  // One batch, of all blocks that wait; `apart_ms` behind the last one.
  void Plan(int64_t apart_ms = 1000) {
    batch_ms_ += apart_ms;
    proto::Entry entry;
    auto& composition = *entry.mutable_planned()->mutable_composition();
    composition.set_batch_ms(batch_ms_);
    for (const BlockId& key : state_.waiting_blocks()) {
      auto& piece = *composition.add_sources()->add_tasks()->add_pieces();
      *piece.mutable_block()->mutable_name() = NameOf(kInstance, key);
    }
    log_.Enqueue(entry);
  }
  void Decide() {
    proto::Entry entry;
    entry.mutable_decided()->set_batch_ms(state_.FirstUndecided());
    log_.Enqueue(entry);
  }
  void Run(int batches) {
    for (int i = 0; i < batches; ++i) {
      Plan();
      Decide();
    }
  }
  proto::ProducerAnswer Ask(const std::string& producer, uint32_t stream = kPushed) {
    std::vector<DriverCommand> out;
    log_.Flush(out);
    log_.OnDurable(LogDurable{++slot_, 5}, out);
    out.clear();
    proto::ProducerQuery query;
    query.set_stream(stream);
    query.set_producer(producer);
    desk_.OnQuery("w0", query, out);
    EXPECT_EQ(out.size(), 1u);
    return std::get<Send>(out.at(0)).message.producer_answer();
  }

  JobDriverOptions options_;
  LineageGraph graph_ = Streams();
  JobState state_;
  LogQueue log_{&state_, {}, 1};
  ProducerDesk desk_{options_, graph_, &state_, &log_};
  int64_t batch_ms_ = 0;
  uint64_t slot_ = 0;
};

// Each new id of a client made the log, its snapshots and the job driver grow for ever.
TEST_F(ProducerDeskTest, AProducerThatIsQuietForLongIsForgotten) {
  Add("quiet");
  Add("follows", kOwn);
  Add("speaks");
  Run(9);
  Add("speaks");
  desk_.OnSealed();
  EXPECT_EQ(Ask("quiet").last(), 3);
  Run(1);
  desk_.OnSealed();
  EXPECT_EQ(Ask("quiet").last(), 0);
  EXPECT_EQ(Ask("speaks").last(), 6);
  EXPECT_EQ(Ask("follows", kOwn).last(), 3);
}

TEST_F(ProducerDeskTest, AProducerIsNotForgottenWhileSomethingOfItIsUndecided) {
  Add("p");
  for (int i = 0; i < 20; ++i) Plan();
  desk_.OnSealed();
  EXPECT_EQ(Ask("p").last(), 3);
  Decide();
  desk_.OnSealed();
  EXPECT_EQ(Ask("p").last(), 0);
}

TEST_F(ProducerDeskTest, NobodyIsForgottenForTheTimeThatTheJobWasDown) {
  Add("p");
  Run(1);
  Plan(/*apart_ms=*/1'000'000);
  Decide();
  desk_.OnSealed();
  EXPECT_EQ(Ask("p").last(), 3);
}

TEST_F(ProducerDeskTest, ASnapshotKnowsWhenAProducerWasHeard) {
  Run(5);
  Add("p");
  Run(9);
  JobState restored;
  restored.Restore(state_.Keep(1));
  proto::ProducersForgotten quiet;
  quiet.add_streams(kPushed);
  quiet.set_heard_ms(restored.ran_ms() - 10'000);
  EXPECT_FALSE(restored.AnyQuiet(quiet));
  quiet.set_heard_ms(restored.ran_ms() - 9'000);
  EXPECT_TRUE(restored.AnyQuiet(quiet));
}

TEST_F(ProducerDeskTest, ANewProducerBeyondTheBoundIsRefusedAndTheOthersGoOn) {
  Add("a");
  EXPECT_EQ(Ask("b").refused(), "");
  Add("b");
  for (const char* own : {"x", "y", "z"}) Add(own, kOwn);
  EXPECT_NE(Ask("c").refused(), "");
  EXPECT_EQ(Ask("a").refused(), "");
  EXPECT_EQ(Ask("a").last(), 3);
  EXPECT_EQ(Ask("w", kOwn).refused(), "");
  Run(10);
  desk_.OnSealed();
  EXPECT_EQ(Ask("c").refused(), "");
}

TEST(ForgottenProducersTest, ARelaunchedJobDriverHasForgottenTheSameProducers) {
  JobDriverOptions options;
  options.push_producer_expiry_ms = 20'000;
  Cluster cluster(1, {}, options);
  cluster.Announce();
  cluster.PushBlock(8, 1, 1, 3);
  const auto last = [&] { return cluster.core().state().LastOfProducer(0, "p"); };
  EXPECT_EQ(last(), 3);
  EXPECT_TRUE(cluster.RunUntil([&] { return last() == 0; }, 6'000));
  EXPECT_GE(cluster.core().state().ran_ms(), 20'000);
  const RecoveredJob recovered = RecoveredFrom(cluster.log);
  EXPECT_EQ(recovered.state.LastOfProducer(0, "p"), 0);
  EXPECT_EQ(recovered.state.ProducersOf(0), 0u);
}

}  // namespace
}  // namespace sluice
