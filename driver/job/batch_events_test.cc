// What listeners are told: each batch once, in order, whatever happens to it.
#include "driver/job/batch_events.h"

#include "driver/job/job_driver_core_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// "submitted 1000", "output 0 started 1000", "completed 1000: cause"
std::vector<std::string> Told(const std::vector<DriverCommand>& commands) {
  std::vector<std::string> told;
  for (const DriverCommand& command : commands) {
    if (const auto* batch = std::get_if<BatchNews>(&command)) {
      static constexpr const char* kWhat[] = {"submitted ", "started ", "completed "};
      told.push_back(kWhat[static_cast<int>(batch->what)] + std::to_string(batch->batch_ms) +
                     (batch->failure.empty() ? "" : ": " + batch->failure));
    } else if (const auto* output = std::get_if<OutputNews>(&command)) {
      told.push_back("output " + std::to_string(output->output) +
                     (output->completed ? " completed " : " started ") +
                     std::to_string(output->batch_ms) +
                     (output->failure.empty() ? "" : ": " + output->failure));
    } else if (const auto* receiver = std::get_if<ReceiverNews>(&command)) {
      static constexpr const char* kWhat[] = {"receiver up ", "receiver error ", "receiver down "};
      told.push_back(kWhat[static_cast<int>(receiver->what)] + std::to_string(receiver->stream) +
                     " at " + receiver->worker);
    }
  }
  return told;
}

class BatchEventsTest : public testing::Test {
 protected:
  BatchEventsTest() : graph_(Graph()), plan_(graph_, 1) {
    proto::JobBegun job;
    job.set_batch_interval_ms(1000);
    events_ = std::make_unique<BatchEvents>(plan_, job, 0);
  }
  static proto::Composition Batch(int64_t batch_ms) {
    proto::Composition composition;
    composition.set_batch_ms(batch_ms);
    composition.add_sources()->add_tasks()->add_pieces()->mutable_block()->set_records(7);
    return composition;
  }
  std::vector<std::string> Told() {
    auto told = sluice::Told(out_);
    out_.clear();
    return told;
  }
  LineageGraph graph_;
  StagePlan plan_;
  std::unique_ptr<BatchEvents> events_;
  std::vector<DriverCommand> out_;
};

TEST_F(BatchEventsTest, ABatchCompletesWhenItIsDurableAndOut) {
  events_->Submitted(10, Batch(1000), out_);
  EXPECT_EQ(std::get<BatchNews>(out_[0]).records, 7u);
  events_->Started(20, 1000, out_);
  EXPECT_THAT(Told(), ElementsAre("submitted 1000", "started 1000", "output 0 started 1000"));
  events_->Decided(1000, 8, 0);
  events_->Advance(30, 0, out_);
  events_->OutputEnded(40, 1000, 0, "", out_);
  EXPECT_THAT(Told(), ElementsAre("output 0 completed 1000"));
  events_->Advance(50, 1000, out_);
  const auto& news = std::get<BatchNews>(out_.at(0));
  EXPECT_EQ(news.submitted, 10);
  EXPECT_EQ(news.started, 20);
  EXPECT_EQ(news.ended, 50);
  EXPECT_EQ(news.records, 8u);
  EXPECT_THAT(Told(), ElementsAre("completed 1000"));
}

TEST_F(BatchEventsTest, AnotherGenerationTellsNothingTwice) {
  for (int generation = 0; generation < 2; ++generation) {
    events_->Submitted(10, Batch(1000), out_);
    events_->Started(20, 1000, out_);
  }
  EXPECT_EQ(Told().size(), 3u);
}

TEST_F(BatchEventsTest, BatchesCompleteInOrder) {
  for (const int64_t batch_ms : {1000, 2000}) {
    events_->Submitted(10, Batch(batch_ms), out_);
    events_->Started(20, batch_ms, out_);
  }
  Told();
  events_->OutputEnded(40, 2000, 0, "", out_);
  events_->Advance(50, 2000, out_);
  EXPECT_THAT(Told(), ElementsAre("output 0 completed 2000"));
  events_->OutputEnded(60, 1000, 0, "", out_);
  events_->Advance(70, 2000, out_);
  EXPECT_THAT(Told(), ElementsAre("output 0 completed 1000", "completed 1000", "completed 2000"));
}

TEST_F(BatchEventsTest, AFailedBatchCompletesWithItsCauseOnce) {
  events_->Submitted(10, Batch(1000), out_);
  events_->Started(20, 1000, out_);
  Told();
  events_->Failed(30, 1000, "it threw", out_);
  EXPECT_THAT(Told(), ElementsAre("output 0 completed 1000: it threw", "completed 1000: it threw"));
  // It is skipped: it runs again, empty.
  events_->Submitted(40, Batch(1000), out_);
  events_->Started(40, 1000, out_);
  events_->OutputEnded(50, 1000, 0, "", out_);
  events_->Advance(60, 1000, out_);
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(BatchEventsTest, WithoutADatasetAnOutputHasNoOperation) {
  proto::Composition composition = Batch(1000);
  composition.mutable_sources(0)->set_no_dataset(true);
  LineageGraph graph;  // an operator with state would have a dataset all the same
  graph.AddNode(graph_.node(0));
  graph.AddOutput({});
  const StagePlan plan(graph, 1);
  proto::JobBegun job;
  job.set_batch_interval_ms(1000);
  BatchEvents events(plan, job, 0);
  events.Submitted(10, composition, out_);
  events.Started(20, 1000, out_);
  events.Advance(30, 1000, out_);
  EXPECT_THAT(Told(), ElementsAre("submitted 1000", "started 1000", "completed 1000"));
}

// The whole core: a batch from its freezing to its publication, and receivers.
TEST(CoreNewsTest, ABatchAndAReceiverFromBeginningToEnd) {
  Cluster cluster(1);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.published.size() == 2; }));
  std::vector<std::string> told = Told(cluster.news);
  const auto up = std::find(told.begin(), told.end(), "receiver up 0 at w0");
  ASSERT_NE(up, told.end());
  told.erase(up);
  const std::string first = std::to_string(cluster.published[0].batch_ms);
  told.resize(5);
  EXPECT_THAT(told, ElementsAre("submitted " + first, "started " + first,
                                "output 0 started " + first, "output 0 completed " + first,
                                "completed " + first));
  cluster.news.clear();
  cluster.Exit(cluster.receiver_executor, true);
  EXPECT_THAT(Told(cluster.news), ElementsAre("receiver down 0 at w0"));
}

}  // namespace
}  // namespace sluice
