#include "driver/job/job_driver_core.h"

#include <algorithm>
#include <deque>

#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr uint64_t kInstance = 77;
constexpr int64_t kWall = 1'000'000;

// One push source, a sum by key with state, one text output.
LineageGraph Graph() {
  LineageGraph graph;
  Node source;
  source.kind = NodeKind::kSource;
  source.label = "PushStream";
  source.source = {SourceKind::kPush, "orders", nullptr, "", true, nullptr};
  graph.AddNode(source);
  Node sum;
  sum.kind = NodeKind::kShuffle;
  sum.label = "UpdateStateByKey";
  sum.state_name = "totals";
  sum.inputs.push_back({0, "Map", nullptr, nullptr});
  graph.AddNode(sum);
  Output output;
  output.kind = OutputKind::kTextFiles;
  output.parent = 1;
  output.prefix = "/out/totals";
  graph.AddOutput(output);
  return graph;
}

// Workers and executors that answer at once; the log is durable when the test says so.
class Cluster {
 public:
  explicit Cluster(int workers, RecoveredJob recovered = {}, JobDriverOptions options = {})
      : graph_(Graph()) {
    options.job = "j";
    options.own_address = "driver";
    core_ = std::make_unique<JobDriverCore>(options, graph_, proto::ExecutorInit(),
                                            std::move(recovered), [this] { return random_++; });
    for (int i = 0; i < workers; ++i) AddWorker("w" + std::to_string(i));
  }

  void AddWorker(const std::string& id) { workers_.push_back(id); }
  void Announce() {
    proto::Envelope m;
    for (const std::string& id : workers_) {
      auto& member = *m.mutable_cluster_members()->add_workers();
      member.set_worker_id(id);
      member.set_incarnation(1);
      member.set_address(id);
      member.set_host(id);
      member.set_slots(2);
    }
    Advance(0);
    Deliver("daemon", m);
    Advance(0);
  }
  void Deliver(const std::string& from, proto::Envelope m) { Feed(MessageIn{from, std::move(m)}); }
  void Feed(const DriverEvent& event) {
    for (DriverCommand& command : core_->Step(now_, event)) Carry(std::move(command));
  }
  void Advance(int64_t us) {
    now_ += us;
    Feed(TimerDue{kWall + now_ / 1000});
  }
  // Runs until `done` or gives up.
  template <typename Done>
  bool RunUntil(Done done, int steps = 400) {
    for (int i = 0; i < steps && !done(); ++i) Advance(10'000);
    return done();
  }
  void PushBlock(uint64_t incarnation, uint64_t number, int64_t first, int64_t last,
                 const std::string& worker = "w0", const std::string& copy = "") {
    proto::Envelope m;
    auto& announce = *m.mutable_block_announce();
    announce.set_epoch(1);
    auto& block = *announce.mutable_block();
    block.mutable_name()->set_job_instance(kInstance);
    block.mutable_name()->set_incarnation(incarnation);
    block.mutable_name()->set_number(number);
    block.set_records(last - first + 1);
    block.set_bytes(100);
    block.set_reliable(true);
    auto& range = *block.add_producers();
    range.set_producer("p");
    range.set_first(first);
    range.set_last(last);
    announce.add_holders(worker);
    if (!copy.empty()) announce.add_holders(copy);
    Deliver(worker, m);
  }

  JobDriverCore& core() { return *core_; }
  std::vector<proto::BlockVerdict> verdicts;
  std::vector<PublishOutput> published;
  std::vector<proto::Grant> grants;
  std::vector<std::pair<std::string, proto::GrantedBatch>> granted;
  std::vector<proto::Entry> log;
  std::optional<EndJob> end;
  proto::JobStatus status;  // the last one reported
  bool hold_log = false;
  bool hold_reports = false;
  std::deque<std::vector<proto::Entry>> appends;
  uint64_t fold_error = 0;  // records that "got lost" between push and fold

  void MakeDurable() {
    while (!appends.empty()) {
      for (auto& entry : appends.front()) log.push_back(entry);
      appends.pop_front();
      Feed(LogDurable{++slot_, 5});
    }
  }
  void Exit(uint32_t executor, bool own_fault, int64_t batch_ms = 0) {
    proto::Envelope m;
    auto& exited = *m.mutable_executor_exited();
    exited.set_epoch(1);
    exited.set_executor(executor);
    exited.set_cause("signal 11");
    exited.set_own_fault(own_fault);
    if (batch_ms != 0) exited.add_tasks()->set_batch_ms(batch_ms);
    Deliver("w0", m);
  }

 private:
  void Carry(DriverCommand command) {
    if (auto* send = std::get_if<Send>(&command)) return Answer(*send);
    if (auto* append = std::get_if<AppendEntries>(&command)) {
      appends.push_back(append->entries);
      if (!hold_log) MakeDurable();
    } else if (auto* publish = std::get_if<PublishOutput>(&command)) {
      published.push_back(*publish);
      Feed(PublishDone{publish->batch_ms, publish->staged.output(), "", false});
    } else if (auto* put = std::get_if<PutManifest>(&command)) {
      Feed(ManifestPut{put->batch_ms, "m" + std::to_string(put->batch_ms), ""});
    } else if (auto* ending = std::get_if<EndJob>(&command)) {
      end = *ending;
    }
  }
  void Answer(const Send& send) {
    const proto::Envelope& m = send.message;
    if (m.has_job_session()) {
      proto::Envelope reply;
      auto& inventory = *reply.mutable_worker_inventory();
      inventory.set_worker_id(send.to);
      inventory.set_incarnation(1);
      inventory.set_epoch(m.job_session().epoch());
      inventory.set_session(m.job_session().number());
      Deliver(send.to, reply);
    } else if (m.has_lease_beat()) {
      proto::Envelope reply;
      reply.mutable_lease_beat()->set_worker_id(send.to);
      reply.mutable_lease_beat()->set_incarnation(1);
      Deliver(send.to, reply);
    } else if (m.has_start_executor()) {
      Start(m.start_executor());
    } else if (m.has_grant()) {
      grants.push_back(m.grant());
      proto::Envelope reply;
      *reply.mutable_grant_done()->mutable_generation() = m.grant().generation();
      reply.mutable_grant_done()->set_executor(std::stoul(send.to.substr(1)));
      Deliver(send.to, reply);
    } else if (m.has_batch_grant()) {
      for (const auto& batch : m.batch_grant().batches()) {
        granted.emplace_back(send.to, batch);
        if (!hold_reports) Report(send.to, m.batch_grant().generation(), batch);
      }
    } else if (m.has_block_verdict()) {
      verdicts.push_back(m.block_verdict());
    } else if (m.has_seal_tick()) {
      proto::Envelope reply;
      reply.mutable_seal_done()->set_batch_ms(m.seal_tick().batch_ms());
      reply.mutable_seal_done()->set_worker_id(send.to);
      Deliver(send.to, reply);
    } else if (m.has_stop_executor()) {
      Exit(m.stop_executor().executor(), false);
    } else if (m.has_job_status()) {
      status = m.job_status();
    }
  }
  void Start(const proto::StartExecutor& start) {
    proto::Envelope hello;
    hello.mutable_executor_hello()->set_epoch(start.epoch());
    hello.mutable_executor_hello()->set_executor(start.executor());
    hello.mutable_executor_hello()->set_link_address("e" + std::to_string(start.executor()));
    Deliver("e", hello);
    proto::Envelope ready;
    ready.mutable_executor_ready()->set_executor(start.executor());
    Deliver("e", ready);
  }
  void Report(const std::string& executor, const proto::Generation& generation,
              const proto::GrantedBatch& batch) {
    proto::Envelope m;
    auto& report = *m.mutable_batch_report();
    *report.mutable_generation() = generation;
    report.set_batch_ms(batch.batch_ms());
    report.set_executor(std::stoul(executor.substr(1)));
    uint64_t records = 0;
    for (const auto& stage : batch.stages()) {
      for (const auto& task : stage.tasks()) {
        for (const auto& piece : task.pieces()) records += piece.block().records();
      }
    }
    auto& source = *report.add_sources();
    source.set_stage(0);
    source.set_records(records);
    auto& edge = *report.add_edges();
    edge.set_pushed(records);
    edge.set_folded(records - std::min(records, fold_error));
    if (!batch.rebuild()) {
      auto& part = *report.add_outputs();
      part.set_piece(report.executor());
      part.set_staged_path("/out/staged");
    }
    Deliver(executor, m);
    if (batch.checkpoint()) {
      proto::Envelope done;
      *done.mutable_checkpoint_part()->mutable_generation() = generation;
      done.mutable_checkpoint_part()->set_batch_ms(batch.batch_ms());
      done.mutable_checkpoint_part()->set_executor(report.executor());
      Deliver(executor, done);
    }
  }

  LineageGraph graph_;
  std::vector<std::string> workers_;
  std::unique_ptr<JobDriverCore> core_;
  MonotonicTime now_ = 1'000'000;
  uint64_t random_ = kInstance;
  uint64_t slot_ = 1;
};

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
    cluster.Exit(cluster.grants.back().members(0).executor(), true, batch_ms);
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
    for (const auto& entry : first.log) {
      if (entry.has_sealed()) continue;  // as if no checkpoint had been taken
      ASSERT_TRUE(recovered.state.Apply(entry).ok());
    }
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

TEST(JobDriverCoreTest, DrainTakesWhatWaitsSealsAndEndsWithZero) {
  Cluster cluster(2);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().decided_batches() > 0; }));
  cluster.PushBlock(9, 1, 1, 7);
  cluster.Feed(StopRequested{});
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  EXPECT_EQ(cluster.end->exit_code, 0);
  EXPECT_EQ(cluster.end->state, "FINISHED");
  EXPECT_EQ(cluster.core().state().records_total(), 7u);
}

TEST(JobDriverCoreTest, AFencedDriverEndsWithSeven) {
  Cluster cluster(1);
  cluster.Announce();
  cluster.Feed(LogFailed{true, "a newer driver has taken over"});
  ASSERT_TRUE(cluster.end.has_value());
  EXPECT_EQ(cluster.end->exit_code, 7);
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

TEST(TickClockTest, MissedTicksAreOneBatchAndTimeNeverGoesBack) {
  TickClock ticks(1000);
  ticks.Start(0, 10'500, 10'000, 0);
  EXPECT_EQ(ticks.Due(400'000), 0);
  EXPECT_EQ(ticks.Due(500'000), 11'000);
  EXPECT_EQ(ticks.MissedBefore(11'000), 0);
  ticks.Take(11'000);
  EXPECT_EQ(ticks.Due(5'600'000), 16'000);
  EXPECT_EQ(ticks.MissedBefore(16'000), 12'000);
  TickClock back(1000);
  back.Start(0, 5'000, 1'000, 90'000);  // the wall clock went back while the driver was down
  EXPECT_EQ(back.Due(900'000), 0);
  EXPECT_EQ(back.Due(1'100'000), 91'000);
}

}  // namespace
}  // namespace sluice
