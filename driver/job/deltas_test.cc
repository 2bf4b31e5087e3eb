// Recovery by deltas in the job driver: when a batch is decided, what a grant names, and when it is
// a rollback after all.
#include <gtest/gtest.h>

#include "driver/job/job_driver_core_fixture.h"

namespace sluice {
namespace {

class DeltasTest : public testing::Test {
 protected:
  explicit DeltasTest(int64_t checkpoint_interval_ms = 3'600'000, int64_t interval_ms = 1000)
      : cluster_(2, {}, Options(checkpoint_interval_ms, interval_ms)) {
    cluster_.deltas = true;
  }
  static JobDriverOptions Options(int64_t checkpoint_interval_ms, int64_t interval_ms) {
    JobDriverOptions options;
    options.batch_interval_ms = interval_ms;
    options.deltas = true;
    options.checkpoint_interval_ms = checkpoint_interval_ms;
    return options;
  }
  int64_t decided_ms() { return cluster_.core().state().last_decided_ms(); }
  bool RunUntilDecided(int batches) {
    const uint64_t until = cluster_.core().state().decided_batches() + batches;
    return cluster_.RunUntil([&] { return cluster_.core().state().decided_batches() >= until; },
                             2000);
  }
  const proto::Decided& LastDecided() {
    return std::find_if(cluster_.log.rbegin(), cluster_.log.rend(), [](const auto& entry) {
             return entry.has_decided();
           })->decided();
  }
  // One executor is lost, and the generation after it has run a batch.
  bool LoseAnExecutor() {
    const size_t grants = cluster_.grants.size();
    const uint32_t executor = cluster_.grants.back().members(0).executor();
    cluster_.granted.clear();
    cluster_.Exit(executor, false);
    return cluster_.RunUntil([&] { return cluster_.grants.size() > grants; }) &&
           RunUntilDecided(1);
  }
  bool AnyRebuilt() const {
    return std::any_of(cluster_.granted.begin(), cluster_.granted.end(),
                       [](const auto& granted) { return granted.second.rebuild(); });
  }
  bool Warned(const std::string& text) const {
    return std::any_of(cluster_.warnings.begin(), cluster_.warnings.end(), [&](const auto& said) {
      return said.find(text) != std::string::npos;
    });
  }
  Cluster cluster_;
};

TEST_F(DeltasTest, ADecisionNamesTheDeltasOfItsBatch) {
  cluster_.Announce();
  ASSERT_TRUE(RunUntilDecided(2));
  EXPECT_TRUE(LastDecided().deltas_whole());
  EXPECT_EQ(LastDecided().deltas_size(), 2);
  EXPECT_EQ(LastDecided().deltas(0).bytes(), 10u);
}

TEST_F(DeltasTest, ABatchWaitsForItsDeltasButNotForEver) {
  cluster_.announce_deltas = false;
  cluster_.Announce();
  ASSERT_TRUE(cluster_.RunUntil([&] { return !cluster_.granted.empty(); }));
  cluster_.RunUntil([] { return false; }, 150);  // one second and a half
  EXPECT_EQ(decided_ms(), 0);
  ASSERT_TRUE(RunUntilDecided(2));  // a checkpoint covers the first one, which is forgotten
  EXPECT_FALSE(LastDecided().deltas_whole());
}

class SweptDeltasTest : public DeltasTest {
 protected:
  SweptDeltasTest() : DeltasTest(/*checkpoint_interval_ms=*/3'000) {}
  bool Released(uint64_t number) const {
    return std::any_of(cluster_.releases.begin(), cluster_.releases.end(), [&](const auto& sent) {
      const auto& names = sent.second.names();
      return std::any_of(names.begin(), names.end(), [&](const auto& name) {
        return name.stream() == kDeltaStream && name.number() == number;
      });
    });
  }
};

// A daemon that finds no peer for its copies announces nothing, and would keep each one for ever.
TEST_F(SweptDeltasTest, OneThatIsNeverAnnouncedGoesWithTheNextCheckpoint) {
  cluster_.announce_deltas = false;
  cluster_.Announce();
  ASSERT_TRUE(RunUntilDecided(1));
  proto::Envelope m;
  auto& inventory = *m.mutable_worker_inventory();
  inventory.set_worker_id("w0");
  inventory.set_incarnation(1);
  inventory.set_epoch(1);
  inventory.set_session(1'000'000);
  auto& name = *inventory.add_blocks()->mutable_name();
  name.set_job_instance(kInstance);
  name.set_stream(kDeltaStream);
  name.set_incarnation(cluster_.delta_incarnation);
  name.set_number(77);
  cluster_.Deliver("w0", m);
  EXPECT_FALSE(Released(77));
  const int64_t planned_ms = cluster_.core().state().last_planned_ms();
  ASSERT_NE(cluster_.delta_incarnation, 0u);
  EXPECT_TRUE(cluster_.RunUntil([&] { return Released(77); }, 2000));
  EXPECT_GE(cluster_.core().state().sealed_ms(), planned_ms);
}

class QuickDeltasTest : public DeltasTest {
 protected:
  QuickDeltasTest() : DeltasTest(3'600'000, 100) {}
};

TEST_F(QuickDeltasTest, ADaemonWithoutRoomHoldsUpOneBatchAndNotEach) {
  cluster_.announce_deltas = false;
  cluster_.Announce();
  ASSERT_TRUE(cluster_.RunUntil([&] { return decided_ms() > 0; }));
  EXPECT_TRUE(cluster_.RunUntil([&] { return LastDecided().batch_ms() >= kWall + 5'000; }, 600));
  EXPECT_FALSE(LastDecided().deltas_whole());
  cluster_.announce_deltas = true;
  ASSERT_TRUE(RunUntilDecided(20));
  EXPECT_TRUE(LastDecided().deltas_whole());
}

TEST_F(DeltasTest, AGenerationTakesThemOverAndRunsNoDecidedBatchAgain) {
  cluster_.Announce();
  ASSERT_TRUE(RunUntilDecided(4));
  const int64_t before_ms = decided_ms();
  ASSERT_TRUE(LoseAnExecutor());
  const proto::Grant& grant = cluster_.grants.back();
  EXPECT_GE(grant.state_ms(), before_ms);
  EXPECT_GT(grant.deltas_size(), 0);
  EXPECT_EQ(grant.deltas(0).holders().worker_ids(0), "w0");
  EXPECT_FALSE(AnyRebuilt());
}

TEST_F(DeltasTest, DecisionsAndGrantsSayWhichPartitionsAreInThem) {
  cluster_.delta_partitions = {0, 1, 5, 5};
  cluster_.Announce();
  ASSERT_TRUE(RunUntilDecided(2));
  EXPECT_EQ(LastDecided().deltas(0).partitions_size(), 4);
  ASSERT_TRUE(LoseAnExecutor());
  ASSERT_GT(cluster_.grants.back().deltas_size(), 0);
  EXPECT_EQ(cluster_.grants.back().deltas(0).block().partitions(3), 5u);
}

// The log has it with every batch.
TEST_F(DeltasTest, ABlockThatNamesVeryManyPartitionsCountsAsOneThatNamesNone) {
  cluster_.delta_partitions.assign(2 * kPartitionRunsMax + 2, 3);
  cluster_.Announce();
  ASSERT_TRUE(RunUntilDecided(2));
  EXPECT_EQ(LastDecided().deltas_size(), 2);
  EXPECT_EQ(LastDecided().deltas(0).partitions_size(), 0);
}

TEST_F(DeltasTest, ItIsARollbackWhereABatchWasDecidedWithoutThem) {
  cluster_.announce_deltas = false;
  cluster_.Announce();
  ASSERT_TRUE(RunUntilDecided(2));
  cluster_.announce_deltas = true;
  ASSERT_TRUE(RunUntilDecided(1));
  ASSERT_TRUE(LoseAnExecutor());
  EXPECT_EQ(cluster_.grants.back().deltas_size(), 0);
  EXPECT_EQ(cluster_.grants.back().state_ms(), 0);
  EXPECT_TRUE(AnyRebuilt());
  EXPECT_TRUE(Warned("are not whole"));
}

TEST_F(DeltasTest, ItIsARollbackWhereNoWorkerHasOneOfThem) {
  cluster_.Announce();
  ASSERT_TRUE(RunUntilDecided(2));
  const size_t grants = cluster_.grants.size();
  cluster_.granted.clear();
  cluster_.Feed(PeerDown{"w0", true});  // it has ended, with the only copies
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.grants.size() > grants; }, 2000));
  ASSERT_TRUE(RunUntilDecided(1));
  EXPECT_EQ(cluster_.grants.back().deltas_size(), 0);
  EXPECT_TRUE(AnyRebuilt());
  EXPECT_TRUE(Warned("no worker has all of batch"));
}

TEST_F(DeltasTest, AnExecutorThatCannotReadOneMakesTheNextGenerationARollback) {
  cluster_.Announce();
  ASSERT_TRUE(RunUntilDecided(3));
  cluster_.delta_lost = true;
  ASSERT_TRUE(LoseAnExecutor());
  EXPECT_EQ(cluster_.grants.back().deltas_size(), 0);
  EXPECT_TRUE(AnyRebuilt());
  EXPECT_TRUE(Warned("it is gone"));
  EXPECT_TRUE(Warned("an executor could not read all of them"));
  EXPECT_FALSE(cluster_.end.has_value());  // the checkpoint is sound
}

// A job as its log and manifest have it: the checkpoint and the batches decided after it, each of a
// branch of the state.
RecoveredJob Former(uint64_t checkpoint_branch, const std::vector<uint64_t>& branches) {
  RecoveredJob job;
  job.epoch = 9;
  const auto apply = [&](const proto::Entry& entry) {
    EXPECT_TRUE(job.state.Apply(entry).ok());
  };
  proto::Entry begun;
  begun.mutable_job_begun()->set_job_instance(kInstance);
  begun.mutable_job_begun()->set_zero_ms(kWall - 10'000);
  begun.mutable_job_begun()->set_batch_interval_ms(1000);
  begun.mutable_job_begun()->set_partitions(2);
  begun.mutable_job_begun()->set_key_groups(1024);
  apply(begun);
  job.manifest_ms = kWall - 9'000;
  job.manifest = "manifest-1";
  job.manifest_branch = checkpoint_branch;
  job.chains[{"totals", 0}] = {"part-0"};
  for (size_t i = 0; i <= branches.size(); ++i) {
    const int64_t batch_ms = job.manifest_ms + 1000 * static_cast<int64_t>(i);
    proto::Entry planned;
    auto& composition = *planned.mutable_planned()->mutable_composition();
    composition.set_batch_ms(batch_ms);
    composition.add_sources()->add_tasks();
    apply(planned);
    proto::Entry decided;
    decided.mutable_decided()->set_batch_ms(batch_ms);
    decided.mutable_decided()->set_deltas_whole(true);  // it changed nothing
    decided.mutable_decided()->set_branch(i == 0 ? checkpoint_branch : branches[i - 1]);
    apply(decided);
  }
  proto::Entry sealed;
  sealed.mutable_sealed()->set_batch_ms(job.manifest_ms);
  sealed.mutable_sealed()->set_manifest(job.manifest);
  apply(sealed);
  return job;
}

struct BranchCase {
  const char* what;
  uint64_t checkpoint;
  std::vector<uint64_t> decided;
  bool by_deltas;
};

// Two runs of one batch may leave two states: changes go with the one that they were made on.
TEST(BranchesTest, DeltasArePutOnlyOnTheStateThatTheyWereMadeOn) {
  const uint64_t own = FenceOf(9, 1);  // the first generation of this driver
  const BranchCase cases[] = {
      {"nothing was decided since", 5, {}, false},
      {"no batch ran again, ever", 0, {0, 0}, true},
      {"none since the checkpoint", 5, {5, 5}, true},
      {"all did after the checkpoint", 0, {5}, false},
      {"all did after the checkpoint and two more", 0, {0, 0, 5, 5}, false},
      {"twice", 5, {6, 7}, false},
      {"and the checkpoint was put late, by the generation before that", 5, {5, 6}, false},
      {"the same, and of what was decided in that one none is left", 5, {6}, false},
  };
  for (const BranchCase& c : cases) {
    SCOPED_TRACE(c.what);
    JobDriverOptions options;
    options.deltas = true;
    options.checkpoint_interval_ms = 3'600'000;
    Cluster cluster(2, Former(c.checkpoint, c.decided), options);
    cluster.deltas = true;
    cluster.Announce();
    const int64_t former_ms = cluster.core().state().last_decided_ms();
    ASSERT_TRUE(cluster.RunUntil(
        [&] { return cluster.core().state().last_decided_ms() > former_ms; }));
    EXPECT_EQ(cluster.grants.front().state_ms(), c.by_deltas ? former_ms : 0);
    const bool rebuilt = std::any_of(
        cluster.granted.begin(), cluster.granted.end(),
        [](const auto& granted) { return granted.second.rebuild(); });
    EXPECT_EQ(rebuilt, !c.by_deltas && !c.decided.empty());
    const auto decided = std::find_if(cluster.log.begin(), cluster.log.end(),
                                      [](const auto& entry) { return entry.has_decided(); });
    ASSERT_NE(decided, cluster.log.end());
    EXPECT_EQ(decided->decided().branch(), rebuilt ? own : c.checkpoint);
  }
}

TEST_F(DeltasTest, ARollbackIsFollowedByACheckpointWithWhichTheyBeginAnew) {
  cluster_.Announce();
  ASSERT_TRUE(RunUntilDecided(2));
  EXPECT_EQ(LastDecided().branch(), 0u);
  cluster_.delta_lost = true;
  ASSERT_TRUE(LoseAnExecutor());
  cluster_.delta_lost = false;
  ASSERT_TRUE(AnyRebuilt());
  const uint64_t branch = LastDecided().branch();
  EXPECT_EQ(branch, FenceOf(1, cluster_.grants.back().generation().number()));
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.manifests.back().kept.branch() == branch; }));
  ASSERT_TRUE(RunUntilDecided(1));
  ASSERT_TRUE(LoseAnExecutor());
  EXPECT_GT(cluster_.grants.back().deltas_size(), 0);
  EXPECT_FALSE(AnyRebuilt());
  EXPECT_EQ(LastDecided().branch(), branch);
}

class SealedDeltasTest : public DeltasTest {
 protected:
  SealedDeltasTest() : DeltasTest(3'000) {}
};

TEST_F(SealedDeltasTest, ACheckpointOutdatesThemAndCopiesThatComeLater) {
  cluster_.Announce();
  ASSERT_TRUE(RunUntilDecided(1));
  const auto released_at = [&](const std::string& worker) -> const proto::BlockName* {
    for (const auto& [to, release] : cluster_.releases) {
      for (const auto& name : release.names()) {
        if (to == worker && name.stream() == kDeltaStream) return &name;
      }
    }
    return nullptr;
  };
  ASSERT_TRUE(cluster_.RunUntil([&] { return released_at("w0") != nullptr; }, 2000));
  ASSERT_EQ(released_at("w1"), nullptr);
  proto::Envelope m;  // it was on its way there: its executor lives, and will announce others
  auto& inventory = *m.mutable_worker_inventory();
  inventory.set_worker_id("w1");
  inventory.set_incarnation(1);
  inventory.set_epoch(1);
  inventory.set_session(1'000'000);
  *inventory.add_blocks()->mutable_name() = *released_at("w0");
  cluster_.Deliver("w1", m);
  EXPECT_TRUE(cluster_.RunUntil([&] { return released_at("w1") != nullptr; }, 2000));
}

}  // namespace
}  // namespace sluice
