// A job driver's core among workers and executors that answer at once, for its tests.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "driver/job/job_driver_core.h"

namespace sluice {

inline constexpr uint64_t kInstance = 77;
inline constexpr int64_t kWall = 1'000'000;

// One push source, a sum by key with state, one text output.
inline LineageGraph Graph() {
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
  void Exit(uint32_t executor, bool own_fault, const std::vector<TaskName>& running = {}) {
    proto::Envelope m;
    auto& exited = *m.mutable_executor_exited();
    exited.set_epoch(1);
    exited.set_executor(executor);
    exited.set_cause("signal 11");
    exited.set_own_fault(own_fault);
    for (const TaskName& name : running) {
      auto& task = *exited.add_tasks();
      task.set_batch_ms(name.batch_ms);
      task.set_stage(name.stage);
      task.set_task(name.task);
    }
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

}  // namespace sluice
