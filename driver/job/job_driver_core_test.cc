#include "driver/job/job_driver_core.h"

#include "common/exit_code.h"
#include "driver/job/job_driver_core_fixture.h"
#include "driver/job/log_recovery_fixture.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(JobDriverCoreTest, DecidesAndPublishesABatchOfPushedRecords) {
  Cluster cluster(2);
  cluster.Announce();
  cluster.PushBlock(9, 1, 1, 10);
  ASSERT_EQ(cluster.verdicts.size(), 1u);
  EXPECT_TRUE(cluster.verdicts[0].accepted());
  ASSERT_TRUE(cluster.RunUntil([&] { return !cluster.published.empty(); }));
  EXPECT_EQ(cluster.core().state().records_total(), 10u);
  EXPECT_EQ(cluster.published[0].staged.target_path(),
            "/out/totals-" + std::to_string(cluster.published[0].batch_ms));
}

TEST(JobDriverCoreTest, AcknowledgesNothingBeforeTheLogIsDurable) {
  Cluster cluster(1);
  cluster.Announce();
  cluster.hold_log = true;
  cluster.PushBlock(9, 1, 1, 10);
  EXPECT_TRUE(cluster.verdicts.empty());
  cluster.MakeDurable();
  EXPECT_EQ(cluster.verdicts.size(), 1u);
}

TEST(JobDriverCoreTest, RefusesWhatAProducerSentTwiceAndSaysWhereItStands) {
  Cluster cluster(1);
  cluster.Announce();
  cluster.PushBlock(9, 1, 1, 10);
  cluster.PushBlock(9, 2, 6, 15);
  ASSERT_EQ(cluster.verdicts.size(), 2u);
  EXPECT_FALSE(cluster.verdicts[1].accepted());
  EXPECT_EQ(cluster.verdicts[1].last(0).last(), 10);
  cluster.PushBlock(9, 3, 11, 15);  // the refused number is used up
  ASSERT_EQ(cluster.verdicts.size(), 3u);
  EXPECT_TRUE(cluster.verdicts[2].accepted());
}

TEST(JobDriverCoreTest, HoldsABlockBackUntilItsPredecessorIsIn) {
  Cluster cluster(1);
  cluster.Announce();
  cluster.PushBlock(9, 2, 11, 20);
  EXPECT_TRUE(cluster.verdicts.empty());
  cluster.PushBlock(9, 1, 1, 10);
  ASSERT_EQ(cluster.verdicts.size(), 2u);
  EXPECT_TRUE(cluster.verdicts[0].accepted());
  EXPECT_TRUE(cluster.verdicts[1].accepted());
}

TEST(JobDriverCoreTest, BlocksThatComeWithTheirReplicasAreNotShownAsLackingThem) {
  JobDriverOptions options;
  options.daemon_address = "daemon";
  Cluster cluster(2, {}, options);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.status.decided_batches() > 0; }));
  for (int64_t n = 1; n <= 100; ++n) {
    cluster.PushBlock(9, n, n, n, "w0", "w1");
    cluster.Advance(20'000);
    EXPECT_EQ(cluster.status.under_replicated_blocks(), 0u);
  }
  cluster.PushBlock(9, 101, 101, 101, "w0");
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.status.under_replicated_blocks() == 1; }));
}

TEST(JobDriverCoreTest, NamesTheJobsFilesWithEachExecutorThatItStarts) {
  JobDriverOptions options;
  options.files = {{"a.txt", "fa"}, {"b.txt", "fb"}};
  Cluster cluster(2, {}, options);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.starts.size() >= 3; }));
  const size_t first = cluster.starts.size();
  const auto tasks = std::find_if(cluster.starts.begin(), cluster.starts.end(),
                                  [](const auto& s) { return s.second.role() == "tasks"; });
  ASSERT_NE(tasks, cluster.starts.end());
  cluster.Exit(tasks->second.executor(), false);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.starts.size() > first; }));
  std::set<std::string> roles;
  for (const auto& [worker, start] : cluster.starts) {
    roles.insert(start.role());
    ASSERT_EQ(start.files_size(), 2);
    EXPECT_EQ(start.files(0).name() + " " + start.files(0).digest(), "a.txt fa");
    EXPECT_EQ(start.files(1).name() + " " + start.files(1).digest(), "b.txt fb");
  }
  EXPECT_EQ(roles, (std::set<std::string>{"receivers", "tasks"}));
}

TEST(JobDriverCoreTest, ADaemonThatTookOverIsReportedToAndTheFormerOneNotHeard) {
  JobDriverOptions options;
  options.daemon_address = "daemon";
  Cluster cluster(2, {}, options);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.status.decided_batches() > 0; }));
  proto::Envelope leads;
  leads.mutable_driver_leads()->set_address("standby");
  leads.set_leader_epoch(7);
  cluster.Deliver("standby", leads);
  cluster.Advance(300'000);
  EXPECT_EQ(cluster.registered_at, "standby");
  proto::Envelope stop;
  stop.mutable_job_stop()->set_drain(true);
  stop.set_leader_epoch(6);
  cluster.Deliver("daemon", stop);
  leads.mutable_driver_leads()->set_address("daemon");
  leads.set_leader_epoch(6);
  cluster.Deliver("daemon", leads);
  const auto stops = [&] { return cluster.status.state() != "RUNNING"; };
  EXPECT_FALSE(cluster.RunUntil(stops));
  EXPECT_EQ(cluster.registered_at, "standby");
  stop.set_leader_epoch(7);
  cluster.Deliver("standby", stop);
  EXPECT_TRUE(cluster.RunUntil(stops));
}

TEST(JobDriverCoreTest, PublishesNothingBeforeItsDecisionIsDurable) {
  Cluster cluster(1);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return !cluster.grants.empty(); }));
  cluster.hold_log = true;
  cluster.RunUntil([&] { return cluster.core().state().last_decided_ms() != 0; });
  ASSERT_NE(cluster.core().state().last_decided_ms(), 0);
  EXPECT_TRUE(cluster.published.empty());
  cluster.MakeDurable();
  EXPECT_FALSE(cluster.published.empty());
}

TEST(JobDriverCoreTest, ALostExecutorStartsANewGenerationAndTheBatchRunsAgain) {
  Cluster cluster(2);
  cluster.Announce();
  cluster.hold_reports = true;
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.granted.size() >= 2; }));
  const int64_t batch_ms = cluster.granted[0].second.batch_ms();
  cluster.hold_reports = false;
  const uint32_t victim = cluster.grants.back().members(0).executor();
  cluster.Exit(victim, false);
  ASSERT_TRUE(
      cluster.RunUntil([&] { return cluster.core().state().last_decided_ms() >= batch_ms; }));
  EXPECT_EQ(cluster.grants.back().generation().number(), 2u);
  EXPECT_NE(cluster.grants.back().members(0).executor(), victim);
}

TEST(JobDriverCoreTest, RecordsLostBetweenPushAndFoldAreNeverDecided) {
  Cluster cluster(1);
  cluster.Announce();
  cluster.fold_error = 1;
  cluster.PushBlock(9, 1, 1, 10);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  EXPECT_EQ(cluster.core().state().records_total(), 0u);
  EXPECT_EQ(cluster.end->exit_code, 1);
}

TEST(JobDriverCoreTest, ATaskThatKillsItsExecutorAgainAndAgainFailsTheJob) {
  Cluster cluster(1);
  cluster.Announce();
  cluster.hold_reports = true;
  ASSERT_TRUE(cluster.RunUntil([&] { return !cluster.granted.empty(); }));
  const int64_t batch_ms = cluster.granted[0].second.batch_ms();
  for (int i = 0; i < 4 && !cluster.end; ++i) {
    cluster.Exit(cluster.grants.back().members(0).executor(), true, {{batch_ms}});
    const size_t seen = cluster.grants.size();
    cluster.RunUntil([&] { return cluster.end || cluster.grants.size() > seen; });
  }
  ASSERT_TRUE(cluster.end.has_value());
  EXPECT_EQ(cluster.end->exit_code, 1);
}

TEST(JobDriverCoreTest, ARelaunchedDriverRunsTheSameCompositionAndRebuildsDecidedBatches) {
  RecoveredJob recovered;
  {
    Cluster first(1);
    first.Announce();
    first.PushBlock(9, 1, 1, 10);
    ASSERT_TRUE(first.RunUntil([&] { return first.core().state().decided_batches() == 2; }));
    recovered = RecoveredFrom(first.log);
    for (const auto& [batch_ms, decided] : first.core().state().decided()) {
      recovered.state.SetPosition(batch_ms, decided.position);
    }
  }
  recovered.epoch = 1;
  recovered.next_slot = 100;
  const int64_t decided = recovered.state.last_decided_ms();
  Cluster second(1, recovered);
  second.Announce();
  ASSERT_TRUE(second.RunUntil([&] { return second.core().Status().generation() > 0; }));
  // The block is with nobody yet: the batch that needs it waits.
  second.RunUntil([&] { return false; }, 20);
  EXPECT_TRUE(second.granted.empty());
  second.PushBlock(9, 1, 1, 10);
  ASSERT_TRUE(second.RunUntil([&] { return second.core().state().last_decided_ms() > decided; }));
  EXPECT_TRUE(second.granted[0].second.rebuild());
  EXPECT_EQ(second.core().state().records_total(), 10u);
}

TEST(JobDriverCoreTest, AFencedDriverEndsWithSeven) {
  Cluster cluster(1);
  cluster.Announce();
  cluster.Feed(LogFailed{kExitFenced, "a newer driver has taken over"});
  ASSERT_TRUE(cluster.end.has_value());
  EXPECT_EQ(cluster.end->exit_code, 7);
}

// It tried its log again for ever, and a log that was found damaged ended it with 1.
TEST(JobDriverCoreTest, ALogThatCannotBeWrittenAnyMoreEndsItsDriver) {
  for (const auto& [code, state] : {std::pair{kExitStartAgain, "RECOVERING"},
                                    std::pair{kExitDamaged, "FAILED"}}) {
    Cluster cluster(1);
    cluster.Announce();
    cluster.Feed(LogFailed{code, "why"});
    ASSERT_TRUE(cluster.end.has_value());
    EXPECT_EQ(cluster.end->exit_code, code);
    EXPECT_EQ(cluster.end->state, state);
    EXPECT_EQ(cluster.end->message, "why");
  }
}

TEST(JobDriverCoreTest, ALogShorterThanAWorkersWitnessIsDamage) {
  Cluster cluster(1);
  cluster.Announce();
  proto::Envelope m;
  m.mutable_worker_inventory()->set_worker_id("w0");
  m.mutable_worker_inventory()->set_incarnation(1);
  m.mutable_worker_inventory()->set_epoch(1);
  m.mutable_worker_inventory()->set_durable_slot(900);
  cluster.Deliver("w0", m);
  ASSERT_TRUE(cluster.end.has_value());
  EXPECT_EQ(cluster.end->exit_code, 8);
}

void Seal(JobState& state, uint64_t slot, int64_t wall_ms) {
  proto::Entry entry;
  entry.mutable_collected()->set_slot(slot);
  entry.mutable_collected()->set_wall_ms(wall_ms);
  ASSERT_TRUE(state.Apply(entry).ok());
}

// Whichever driver sealed it: the successor of one that lived for less than ten minutes collects.
TEST(JobDriverCoreTest, SlotsAreCollectableTenMinutesAfterTheirCheckpointAcrossDrivers) {
  JobState state;
  const auto seal = [&](uint64_t slot, int64_t wall_ms) { Seal(state, slot, wall_ms); };
  const int64_t ten_minutes = JobState::kKeepSlotsMs;
  seal(10, 100'000);
  seal(20, 115'000);
  EXPECT_EQ(state.CollectableSlot(100'000 + ten_minutes - 1), 0u);
  JobState successor;
  successor.Restore(state.Keep(21));
  EXPECT_EQ(successor.CollectableSlot(100'000 + ten_minutes), 10u);
  EXPECT_EQ(successor.CollectableSlot(115'000 + ten_minutes), 20u);
  // Checkpoints that follow each other closely are not all remembered.
  for (int i = 0; i < 10'000; ++i) seal(30 + i, 130'000 + i * 200);
  EXPECT_LT(state.Keep(1).collected_size(), 100);
  EXPECT_GT(state.CollectableSlot(130'000 + 10'000 * 200), 6'000u);
}

// Two seals from a clock that was a year ahead kept all slots for that year.
TEST(JobDriverCoreTest, AClockThatWasAheadDoesNotKeepSlotsForEver) {
  JobState state;
  const auto seal = [&](uint64_t slot, int64_t wall_ms) { Seal(state, slot, wall_ms); };
  const int64_t year_ms = int64_t{365} * 86'400'000;
  for (int i = 0; i < 3; ++i) seal(10 + i, year_ms + i * 10'000);
  for (int i = 0; i < 200; ++i) seal(100 + i, 1'000'000 + i * 10'000);
  EXPECT_GT(state.CollectableSlot(1'000'000 + 200 * 10'000), 150u);
}

TEST(JobDriverCoreTest, ASealIsLoggedWithTheSlotThatItCoversAndItsTime) {
  Cluster cluster(1);
  cluster.Announce();
  const auto logged = [&]() -> const proto::Collected* {
    for (const auto& entry : cluster.log) {
      if (entry.has_collected()) return &entry.collected();
    }
    return nullptr;
  };
  ASSERT_TRUE(cluster.RunUntil([&] { return logged() != nullptr; }));
  EXPECT_GT(logged()->slot(), 1u);
  EXPECT_GE(logged()->wall_ms(), kWall);
}

TEST(TickClockTest, MissedTicksAreOneBatchAndTimeNeverGoesBack) {
  TickClock ticks(1000);
  ticks.Start(0, 10'500, 10'000, 0);
  EXPECT_EQ(ticks.Due(400'000), 0);
  EXPECT_EQ(ticks.Due(500'000), 11'000);
  EXPECT_EQ(ticks.MissedBefore(11'000), 0);
  ticks.Take(11'000, true);
  EXPECT_EQ(ticks.Due(5'600'000), 16'000);
  EXPECT_EQ(ticks.MissedBefore(16'000), 12'000);
  TickClock back(1000);
  back.Start(0, 5'000, 1'000, 90'000);  // the wall clock went back while the driver was down
  EXPECT_EQ(back.Due(900'000), 0);
  EXPECT_EQ(back.Due(1'100'000), 91'000);
}

// What windows had taken since they slid last was in no output.
TEST(TickClockTest, OfMissedTicksThoseComeFirstAtWhichAWindowSlidesNext) {
  TickClock ticks(1000, {3, 4});
  ticks.Start(0, 20'500, 20'000, 0);
  std::vector<int64_t> taken;
  const auto take_all = [&](int64_t now_us) {
    while (const int64_t due = ticks.Due(now_us)) {
      taken.push_back(due);
      ticks.Take(due, due == ticks.Latest(now_us));
    }
    return std::exchange(taken, {});
  };
  using Ticks = std::vector<int64_t>;
  EXPECT_EQ(take_all(500'000), Ticks{21'000});
  EXPECT_EQ(take_all(2'500'000), Ticks({23'000}));            // the third
  EXPECT_EQ(take_all(4'500'000), Ticks({24'000, 25'000}));    // the fourth was missed
  EXPECT_EQ(take_all(7'200'000'000), Ticks({26'000, 28'000, 7'220'000}));  // two hours
  // A tick that is made up for late, and is the latest by the time that it is taken.
  EXPECT_EQ(ticks.Due(7'204'500'000), 7'223'000);
  ticks.Take(7'223'000, false);
  EXPECT_EQ(take_all(7'204'500'000), Ticks({7'224'000, 7'225'000}));
}

TEST(JobDriverCoreTest, ADirectoryThatDoesNotAnswerIsNamedOnce) {
  LineageGraph graph = Graph();
  Node files;
  files.kind = NodeKind::kSource;
  files.label = "TextFileStream";
  files.source.kind = SourceKind::kFiles;
  files.source.directory = "/hangs";
  graph.AddNode(files);
  Cluster cluster(1, {}, {}, graph);  // which lists nothing
  cluster.Announce();
  const auto said = [&] {
    return std::count_if(cluster.warnings.begin(), cluster.warnings.end(), [](const auto& text) {
      return text.find("waits for its sources: /hangs has not answered") != std::string::npos;
    });
  };
  ASSERT_TRUE(cluster.RunUntil([&] { return said() > 0; }, 3000));
  EXPECT_NE(cluster.core().Status().input_problem(), "");
  cluster.RunUntil([] { return false; }, 1000);
  EXPECT_EQ(said(), 1);
}

TEST(JobDriverCoreTest, ABatchThatRunsWhenItsInputIsFoundDamagedGoesOnWhenTheLossIsAccepted) {
  Cluster cluster(1);
  cluster.Announce();
  cluster.hold_reports = true;
  cluster.PushBlock(9, 1, 1, 10);
  const auto runs = [&] {
    return std::any_of(cluster.granted.begin(), cluster.granted.end(), [](const auto& grant) {
      const auto& stages = grant.second.stages();
      return std::any_of(stages.begin(), stages.end(), [](const auto& stage) {
        return stage.tasks_size() > 0 && stage.tasks(0).pieces_size() > 0;
      });
    });
  };
  ASSERT_TRUE(cluster.RunUntil(runs));
  proto::Envelope gone;
  *gone.mutable_block_copied()->mutable_name() = cluster.verdicts.at(0).name();
  gone.mutable_block_copied()->set_worker_id("w0");
  gone.mutable_block_copied()->set_incarnation(1);
  cluster.Deliver("w0", gone);
  ASSERT_TRUE(cluster.RunUntil([&] {
    return cluster.core().Status().failure().find("1 received blocks are lost") == 0;
  }, 2000));
  const size_t generations = cluster.grants.size();
  proto::Envelope accept;
  accept.mutable_accept_loss();
  cluster.Deliver("daemon", accept);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.grants.size() > generations; }));
}

TEST(JobDriverCoreTest, ALogThatDoesNotAnswerIsNamedOnceAndInTheStatus) {
  JobDriverOptions options;
  options.daemon_address = "daemon";
  Cluster cluster(1, {}, options);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.status.decided_batches() > 0; }));
  cluster.hold_log = true;
  const auto named = [&] {
    return cluster.status.failure().find("log has not answered") != std::string::npos;
  };
  EXPECT_FALSE(cluster.RunUntil(named, 900));
  EXPECT_TRUE(cluster.RunUntil(named, 400));
  cluster.hold_log = false;
  cluster.MakeDurable();
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.status.failure().empty(); }));
}

// A job that goes on from a checkpoint whose state cannot be loaded.
class DamagedCheckpointTest : public testing::Test {
 protected:
  DamagedCheckpointTest() : cluster_(1, Recovered()) {
    cluster_.load_error = "part-1 is damaged";
  }
  static RecoveredJob Recovered() {
    RecoveredJob recovered;
    proto::Entry begun;
    auto& job = *begun.mutable_job_begun();
    job.set_job_instance(kInstance);
    job.set_zero_ms(kWall - 10'000);
    job.set_batch_interval_ms(1000);
    job.set_partitions(2);
    job.set_key_groups(1024);
    EXPECT_TRUE(recovered.state.Apply(begun).ok());
    recovered.manifest_ms = kWall - 5'000;
    recovered.manifest = "manifest-5";
    return recovered;
  }
  Cluster cluster_;
};

TEST_F(DamagedCheckpointTest, IsSetAsideAndTheNextStartIsToPassItOver) {
  cluster_.Announce();
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.end.has_value(); }));
  EXPECT_EQ(cluster_.end->exit_code, kExitStartAgain);
  EXPECT_NE(cluster_.end->message.find("part-1 is damaged; it is set aside"), std::string::npos);
  EXPECT_NE(cluster_.objects["aside/manifest-5"].find("part-1"), std::string::npos);
}

// The folder was not mounted on one node: a sound checkpoint was set aside, and the job was refused
// for good, as the one before lacked its input.
TEST_F(DamagedCheckpointTest, ThatOneNodeOnlyFindsCostsThatNodesExecutor) {
  cluster_.damaged_store = false;
  cluster_.Announce();
  const auto said = [&] {
    return std::any_of(cluster_.warnings.begin(), cluster_.warnings.end(), [](const auto& text) {
      return text.find("but the job driver finds it whole") != std::string::npos;
    });
  };
  ASSERT_TRUE(cluster_.RunUntil(said));
  EXPECT_FALSE(cluster_.objects.contains("aside/manifest-5"));
  cluster_.load_error.clear();
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.core().state().decided_batches() > 0; }));
  EXPECT_FALSE(cluster_.end.has_value());
}

TEST_F(DamagedCheckpointTest, AStoreThatIsAwayIsAskedAgain) {
  cluster_.objects_error = "away";
  cluster_.Announce();
  ASSERT_FALSE(cluster_.RunUntil([&] { return cluster_.end.has_value(); }));
  cluster_.objects_error.clear();
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.end.has_value(); }));
  EXPECT_EQ(cluster_.end->exit_code, kExitStartAgain);
}

}  // namespace
}  // namespace sluice
