// Letters of what came over a shuffle, run again, in the job driver's core: in one planned batch,
// the same for whoever runs it, and counted.
#include "driver/job/job_driver_core_fixture.h"
#include "driver/job/log_recovery_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::HasSubstr;

JobDriverOptions Aside() {
  JobDriverOptions options;
  options.bad_records_max = 10;
  options.objects = "/store/objects";
  options.checkpoint_interval_ms = 3'600'000;
  return options;
}

// The key "bad" of every batch that has a block makes the state's function throw.
proto::Letter BadKey(int64_t batch_ms) {
  proto::Letter letter;
  letter.set_batch_ms(batch_ms);
  letter.set_stage(1);
  letter.set_operator_key("state totals");
  letter.set_record_type("what makes ");  // the graph's records have no name
  letter.set_error("it threw");
  letter.set_record(-1);
  letter.set_key("bad");
  letter.add_values("bad 1");
  letter.add_values("bad 2");
  letter.add_runs()->set_values(2);
  return letter;
}

class OperatorLettersTest : public testing::Test {
 protected:
  OperatorLettersTest() { Begin(); }
  void Begin(RecoveredJob recovered = {}) {
    cluster_.emplace(2, std::move(recovered), Aside());
    cluster_->amend = [this](proto::BatchReport& report, const proto::GrantedBatch& batch) {
      Amend(report, batch);
    };
    cluster_->Announce();
  }
  // All partitions of the sum are at the first member.
  void Amend(proto::BatchReport& report, const proto::GrantedBatch& batch) {
    if (report.executor() != cluster_->grants.back().members(0).executor()) return;
    if (batch.letters_size() > 0 && reads_letters_) {
      auto& read = *report.add_sources();
      read.set_stage(1);
      for (const auto& letter : batch.letters()) {
        read.set_records(read.records() + letter.records().records());
      }
    }
    for (const auto& stage : batch.stages()) {
      for (const auto& task : stage.tasks()) {
        if (batch.rebuild() || task.pieces().empty()) continue;
        *report.add_letters() = BadKey(batch.batch_ms());
      }
    }
  }
  const JobState& state() { return cluster_->core().state(); }
  proto::Letter SetAside() {
    cluster_->PushBlock(9, 1, 1, 10, "w0", "w1");
    cluster_->RunUntil([&] { return state().letters().count() > 0; });
    for (const proto::Entry& entry : cluster_->log) {
      if (entry.decided().letters_size() > 0) return entry.decided().letters(0);
    }
    ADD_FAILURE() << "nothing was set aside";
    return {};
  }
  proto::ReplayAnswer Replay(uint64_t request, const proto::Letter& letter) {
    proto::Envelope m;
    m.mutable_replay_letters()->set_request(request);
    *m.mutable_replay_letters()->add_letters() = letter;
    cluster_->Deliver("daemon", m);
    return cluster_->core().Status().replay();
  }
  void Relaunch() {
    Begin(RecoveredFrom(cluster_->log));
    cluster_->PushBlock(9, 1, 1, 10, "w0", "w1");  // announced again by its holders
  }
  // Of the log: how many of the planned batches have letters.
  int Planned() {
    return static_cast<int>(
        std::count_if(cluster_->log.begin(), cluster_->log.end(), [](const auto& entry) {
          return entry.planned().composition().letters_size() > 0;
        }));
  }
  // To whom letters were granted in a batch that rebuilds state, or in another.
  std::set<std::string> Fed(bool rebuild) {
    std::set<std::string> fed;
    for (const auto& [executor, batch] : cluster_->granted) {
      if (batch.letters_size() > 0 && batch.rebuild() == rebuild) fed.insert(executor);
    }
    return fed;
  }

  std::optional<Cluster> cluster_;
  bool reads_letters_ = true;
};

TEST_F(OperatorLettersTest, AKeyIsInTheNextBatchOnceAndAllExecutorsKnow) {
  const proto::Letter letter = SetAside();
  EXPECT_EQ(Replay(1, letter).taken(), 1u);
  ASSERT_TRUE(cluster_->RunUntil([&] { return Planned() > 0 && Fed(false).size() == 2; }));
  EXPECT_EQ(Replay(2, letter).before(), 1u);
  cluster_->RunUntil([] { return false; }, 50);
  EXPECT_EQ(Planned(), 1);
  EXPECT_FALSE(cluster_->end.has_value());
  EXPECT_EQ(state().records_total(), 10u);  // they were counted before
  EXPECT_TRUE(state().letters().behind().empty());
}

TEST_F(OperatorLettersTest, ARelaunchedDriverStillOwesWhatWasTaken) {
  const proto::Letter letter = SetAside();
  ASSERT_EQ(Replay(1, letter).taken(), 1u);
  Relaunch();
  ASSERT_TRUE(cluster_->RunUntil([&] { return Planned() > 0; }));
  EXPECT_EQ(Replay(2, letter).before(), 1u);
}

TEST_F(OperatorLettersTest, ABatchThatRebuildsStateIsFedTheSame) {
  ASSERT_EQ(Replay(1, SetAside()).taken(), 1u);
  ASSERT_TRUE(cluster_->RunUntil([&] { return Planned() > 0; }));
  cluster_->RunUntil([] { return false; }, 50);
  Relaunch();
  ASSERT_TRUE(cluster_->RunUntil([&] { return Fed(true).size() == 2; }));
}

TEST_F(OperatorLettersTest, LettersThatNoTaskReadAreNoticed) {
  reads_letters_ = false;
  ASSERT_EQ(Replay(1, SetAside()).taken(), 1u);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->end.has_value(); }));
  EXPECT_THAT(cluster_->end->message, HasSubstr("2 records of letters planned, 0 read"));
}

TEST_F(OperatorLettersTest, OfAnotherTypeOneIsRefusedWithBothTypes) {
  proto::Letter letter = SetAside();
  letter.set_record_type("(text,text)");
  const proto::ReplayAnswer answer = Replay(1, letter);
  EXPECT_EQ(answer.taken(), 0u);
  EXPECT_THAT(answer.refused(), HasSubstr("of records (text,text), where operator state totals"));
}

// The job was FINISHED, and nobody knew that one was still to be run.
TEST(DrainedLettersTest, ADrainSaysWhichLettersTheJobStillOwes) {
  const LineageGraph without = Graph();
  LineageGraph graph;
  for (Node node : without.nodes()) {
    if (node.kind == NodeKind::kShuffle) node.slide_batches = 1'000'000;
    graph.AddNode(node);
  }
  Cluster cluster(1, {}, Aside(), std::move(graph));
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().decided_batches() > 0; }));
  proto::Letter row;
  row.set_batch_ms(cluster.core().state().last_decided_ms());
  row.set_number(1);
  row.set_operator_key("state totals");
  row.set_operator_name("UpdateStateByKey");
  row.set_raw("row");
  proto::Envelope m;
  m.mutable_replay_letters()->set_request(1);
  *m.mutable_replay_letters()->add_letters() = row;
  cluster.Deliver("daemon", m);
  ASSERT_EQ(cluster.core().state().letters().behind().size(), 1u);
  cluster.Feed(StopRequested{});
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  EXPECT_EQ(cluster.end->state, "FINISHED");
  EXPECT_THAT(cluster.warnings, testing::Contains(HasSubstr("1 letters that are to be run again")));
}

}  // namespace
}  // namespace sluice
