// A job driver's core among workers and executors that answer at once, for its tests.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/crc32c.h"
#include "common/delta_stream.h"
#include "driver/job/job_driver_core.h"
#include "driver/job/test_messages.h"

namespace sluice {

inline constexpr uint64_t kInstance = 77;
inline constexpr int64_t kWall = 1'000'000;
inline const std::string kBlockBytes(5 << 19, 'x');  // of every block: it travels in pieces

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
  explicit Cluster(int workers, RecoveredJob recovered = {}, JobDriverOptions options = {},
                   LineageGraph graph = Graph())
      : graph_(std::move(graph)) {
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
      member.set_slots(slots);
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
    block.set_bytes(kBlockBytes.size());
    block.set_crc32c(Crc32c(kBlockBytes));
    block.set_reliable(reliable);
    if (reliable) {
      auto& range = *block.add_producers();
      range.set_producer("p");
      range.set_first(first);
      range.set_last(last);
    }
    AddHolder(announce, worker);
    if (!copy.empty()) AddHolder(announce, copy);
    Deliver(worker, m);
  }

  JobDriverCore& core() { return *core_; }
  uint32_t slots = 2;  // of each worker that is announced
  std::vector<proto::BlockVerdict> verdicts;
  std::vector<proto::ReceiverRates> rates;
  std::vector<PublishOutput> published;
  std::vector<RollOutput> rolled;  // every try
  bool hold_rolls = false;         // they are never answered
  std::string publish_error;       // of every publication
  uint64_t staged_bytes = 10;      // by each executor and batch
  std::vector<proto::Grant> grants;
  std::vector<std::pair<std::string, proto::GrantedBatch>> granted;
  std::vector<proto::Entry> log;
  std::optional<EndJob> end;
  std::set<std::string> forgotten_by;  // workers that may drop what they hold of the job
  proto::JobStatus status;  // the last one reported
  std::string registered_at;  // the daemon that was last told who drives the job
  bool hold_log = false;
  bool hold_reports = false, report_rebuilds = false;  // then: all the same
  bool hold_sessions = false;
  bool hold_tasks = false;  // executors for tasks do not come up until StartTasks
  int fail_reports = 0;  // so many fail, and with the first the log begins to be held
  std::vector<proto::BatchGrant> batch_grants;  // of the first executor
  std::vector<std::pair<std::string, proto::TaskCopy>> copies;  // that were started, and where
  std::vector<DriverCommand> news;              // for listeners
  uint32_t receiver_executor = 0;               // the last one that was started
  std::deque<std::vector<proto::Entry>> appends;
  bool reliable = true;           // the source of the blocks that are pushed from now on
  std::vector<std::pair<std::string, proto::StartExecutor>> starts;  // and where
  std::vector<std::string> warnings;
  std::set<std::string> broken;   // workers on which executors end before they are ready:
  bool by_itself = true;          // of their own doing
  std::string load_error;         // of every grant: the checkpoint is damaged
  std::function<bool(const std::string& worker, proto::GrantDone&)> amend_loaded;  // no: unsaid
  bool hold_parts = false;        // of checkpoints: they are never written
  bool refused = false;           // or never started, because they cannot run there
  std::set<std::string> unfit;    // workers on which executors say that they cannot work
  std::string unmarkable;         // why the job driver itself cannot write the output
  std::string unmarkable_now;     // the same, of what may pass
  bool hold_marks = false;        // marks are not made until MakeMarks
  int marks = 0;                  // made, less those taken away
  std::vector<MarkOutputs> asked_marks;
  std::vector<proto::ExecutorInit> inits, receiver_inits;  // of executors of either role
  bool poisoned = false;          // whatever has input fails
  std::map<std::string, std::string> objects;  // kept aside, by name
  std::deque<KeepAside> puts;     // not in the store yet
  bool hold_objects = false;
  // Of every report, before it is sent.
  std::function<void(proto::BatchReport&, const proto::GrantedBatch&)> amend;
  std::string objects_error;      // of every put
  bool damaged_store = true;      // whoever looks at a checkpoint finds it damaged
  std::set<std::string> unannounced;  // workers that hold sealed blocks which wait for copies
  std::set<std::string> mute, silent;  // workers that answer no question for a block; nothing
  std::set<std::string> spoiled;  // workers whose copies are damaged
  bool hold_manifests = false;    // their puts hang
  int fail_manifests = 0;         // so many are not put
  std::vector<PutManifest> manifests;
  bool deltas = false;            // reports name a delta
  uint64_t delta_incarnation = 0;  // of the task executor that was started last
  bool announce_deltas = true;    // which its daemon, w0, has at once
  std::vector<uint32_t> delta_partitions;  // what announcements say of their partitions
  bool delta_lost = false;        // grants with deltas cannot be loaded
  std::vector<std::pair<std::string, proto::ReleaseBlocks>> releases;  // and to whom
  uint64_t fold_error = 0;  // records that "got lost" between push and fold

  void AnnounceDelta(const proto::BlockName& name, const std::string& worker) {
    proto::Envelope m;
    auto& announce = *m.mutable_block_announce();
    announce.set_epoch(1);
    *announce.mutable_block()->mutable_name() = name;
    announce.mutable_block()->set_bytes(10);
    for (const uint32_t p : delta_partitions) announce.mutable_block()->add_partitions(p);
    AddHolder(announce, worker);
    Deliver(worker, m);
  }

  // The reports of a batch that were held.
  void Release(int64_t batch_ms) {
    for (const auto& [executor, generation, batch] : held_) {
      if (batch.batch_ms() == batch_ms) Report(executor, generation, batch);
    }
  }
  void StartTasks() {
    hold_tasks = false;
    for (const proto::StartExecutor& start : held_tasks_) Start(start);
  }
  void MakeMarks() {
    hold_marks = false;
    ++marks;
    OutputsMarked marked{unmarkable, {}, {}};
    if (!unmarkable_now.empty()) marked.passing.push_back(unmarkable_now);
    if (unmarkable.empty() && unmarkable_now.empty()) marked.outputs.push_back(0);
    Feed(marked);
  }
  void MakeDurable() { while (!appends.empty()) MakeOneDurable(); }
  void PutObjects() {  // what is on its way by now
    for (size_t left = puts.size(); left > 0; --left) {
      const KeepAside put = puts.front();
      puts.pop_front();
      const bool whole = !put.unless_whole.empty() && !damaged_store;
      if (objects_error.empty() && !whole) objects.emplace(put.name, put.bytes);
      Feed(KeptAside{put.name, objects_error, objects_error.empty() && whole});
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
  void MakeOneDurable() {
    for (auto& entry : appends.front()) log.push_back(entry);
    appends.pop_front();
    Feed(LogDurable{++slot_, 5});
  }
  void Carry(DriverCommand command) {
    if (auto* s = std::get_if<Send>(&command)) return silent.contains(s->to) ? void() : Answer(*s);
    if (auto* append = std::get_if<AppendEntries>(&command)) {
      appends.push_back(append->entries);
      while (!hold_log && !appends.empty()) MakeOneDurable();
    } else if (auto* mark = std::get_if<MarkOutputs>(&command)) {
      asked_marks.push_back(*mark);
      if (!hold_marks) MakeMarks();
    } else if (std::holds_alternative<UnmarkOutputs>(command)) {
      --marks;
    } else if (auto* publish = std::get_if<PublishOutput>(&command)) {
      if (publish_error.empty()) published.push_back(*publish);
      Feed(PublishDone{publish->batch_ms, publish->staged.output(), publish_error, false});
    } else if (auto* roll = std::get_if<RollOutput>(&command)) {
      rolled.push_back(*roll);
      if (!hold_rolls) Feed(PublishDone{roll->to_ms, roll->output, publish_error, false});
    } else if (auto* put = std::get_if<PutManifest>(&command)) {
      manifests.push_back(*put);
      if (hold_manifests) return;
      const bool fails = fail_manifests > 0 && fail_manifests-- > 0;
      Feed(ManifestPut{put->batch_ms, "m" + std::to_string(put->batch_ms), fails ? "full" : ""});
    } else if (auto* keep = std::get_if<KeepAside>(&command)) {
      puts.push_back(*keep);
      if (!hold_objects) PutObjects();
    } else if (auto* say = std::get_if<Say>(&command)) {
      if (say->level == Say::Level::kWarning) warnings.push_back(say->text);
    } else if (auto* ending = std::get_if<EndJob>(&command)) {
      end = *ending;
    } else if (std::holds_alternative<BatchNews>(command) ||
               std::holds_alternative<OutputNews>(command) ||
               std::holds_alternative<ReceiverNews>(command)) {
      news.push_back(command);
    }
  }
  void Answer(const Send& send) {
    const proto::Envelope& m = send.message;
    if (m.has_job_session()) {
      if (hold_sessions) return;
      proto::Envelope reply;
      auto& inventory = *reply.mutable_worker_inventory();
      inventory.set_worker_id(send.to);
      inventory.set_incarnation(1);
      inventory.set_epoch(m.job_session().epoch());
      inventory.set_session(m.job_session().number());
      Deliver(send.to, reply);
    } else if (m.has_lease_beat()) {
      proto::Envelope reply;
      *reply.mutable_lease_beat() = BeatOf(send.to, core().members().job_instance());
      Deliver(send.to, reply);
    } else if (m.has_start_executor()) {
      starts.emplace_back(send.to, m.start_executor());
      if (broken.contains(send.to)) {
        EndAtStart(send.to, m.start_executor());
      } else if (hold_tasks && m.start_executor().role() == "tasks") {
        held_tasks_.push_back(m.start_executor());
        start_workers_[m.start_executor().executor()] = send.to;
      } else {
        start_workers_[m.start_executor().executor()] = send.to;
        Start(m.start_executor());
      }
    } else if (m.has_executor_init()) {
      if (m.executor_init().deltas() != 0) delta_incarnation = m.executor_init().deltas();
      SayReady(std::stoul(send.to.substr(1)), m.executor_init());
    } else if (m.has_grant()) {
      grants.push_back(m.grant());
      proto::Envelope reply;
      auto& done = *reply.mutable_grant_done();
      *done.mutable_generation() = m.grant().generation();
      done.set_executor(std::stoul(send.to.substr(1)));
      done.set_error(load_error);
      if (amend_loaded && !amend_loaded(start_workers_[done.executor()], done)) return;
      done.set_delta_lost(delta_lost && m.grant().deltas_size() > 0);
      if (done.delta_lost()) done.set_error("it is gone");
      Deliver(send.to, reply);
    } else if (m.has_batch_grant()) {
      if (send.to == FirstExecutor()) batch_grants.push_back(m.batch_grant());
      for (const auto& copy : m.batch_grant().copies()) copies.emplace_back(send.to, copy);
      for (const auto& batch : m.batch_grant().batches()) {
        granted.emplace_back(send.to, batch);
        if (hold_reports && !(report_rebuilds && batch.rebuild())) {
          held_.emplace_back(send.to, m.batch_grant().generation(), batch);
        } else {
          Report(send.to, m.batch_grant().generation(), batch);
        }
      }
    } else if (m.has_job_ended()) {
      forgotten_by.insert(send.to);
    } else if (m.has_block_verdict()) {
      verdicts.push_back(m.block_verdict());
    } else if (m.has_receiver_rates()) {
      rates.push_back(m.receiver_rates());
    } else if (m.has_seal_tick()) {
      if (unannounced.contains(send.to)) return;
      proto::Envelope reply;
      reply.mutable_seal_done()->set_batch_ms(m.seal_tick().batch_ms());
      reply.mutable_seal_done()->set_worker_id(send.to);
      Deliver(send.to, reply);
    } else if (m.has_fetch_block()) {
      if (!mute.contains(send.to)) AnswerFetch(send.to, m.fetch_block());
    } else if (m.has_release_blocks()) {
      releases.emplace_back(send.to, m.release_blocks());
    } else if (m.has_stop_executor()) {
      Exit(m.stop_executor().executor(), false);
    } else if (m.has_job_status()) {
      status = m.job_status();
    } else if (m.has_job_driver_register()) {
      registered_at = send.to;
    }
  }
  void EndAtStart(const std::string& worker, const proto::StartExecutor& start) {
    proto::Envelope m;
    auto& exited = *m.mutable_executor_exited();
    exited.set_epoch(start.epoch());
    exited.set_executor(start.executor());
    exited.set_cause(refused ? "libq.so is missing on " + worker : "exit 9");
    exited.set_by_itself(by_itself && !refused);
    exited.set_refused(refused);
    Deliver(worker, m);
  }
  void AnswerFetch(const std::string& worker, const proto::FetchBlock& fetch) {
    proto::Envelope m;
    auto& fetched = *m.mutable_fetched_block();
    *fetched.mutable_name() = fetch.name();
    fetched.set_request(fetch.request());
    fetched.set_offset(fetch.offset());
    fetched.set_found(true);
    fetched.set_data(kBlockBytes.substr(fetch.offset(), fetch.length()));
    if (spoiled.contains(worker)) (*fetched.mutable_data())[0] = '!';
    Deliver(worker, m);
  }
  std::string FirstExecutor() const {
    return grants.empty() ? "" : grants.back().members(0).address();
  }
  void Start(const proto::StartExecutor& start) {
    if (start.role() == "receivers") receiver_executor = start.executor();
    proto::Envelope hello;
    hello.mutable_executor_hello()->set_epoch(start.epoch());
    hello.mutable_executor_hello()->set_executor(start.executor());
    hello.mutable_executor_hello()->set_link_address("e" + std::to_string(start.executor()));
    if (start.role() == "tasks") tasks_.insert(start.executor());
    Deliver("e", hello);
  }
  void SayReady(uint32_t executor, const proto::ExecutorInit& init) {
    (tasks_.contains(executor) ? inits : receiver_inits).push_back(init);
    proto::Envelope ready;
    ready.mutable_executor_ready()->set_executor(executor);
    const std::string& worker = start_workers_[executor];
    if (unfit.contains(worker)) {
      ready.mutable_executor_ready()->set_refused("/out is another one on " + worker);
    }
    Deliver("e", ready);
  }
  void Report(const std::string& executor, const proto::Generation& generation,
              const proto::GrantedBatch& batch) {
    proto::Envelope m;
    auto& report = *m.mutable_batch_report();
    *report.mutable_generation() = generation;
    report.set_batch_ms(batch.batch_ms());
    report.set_executor(std::stoul(executor.substr(1)));
    if (fail_reports > 0) {
      --fail_reports;
      hold_log = true;
      report.mutable_failure()->set_cause("it threw");
    }
    const uint64_t records = RecordsIn(batch);
    if (poisoned && records > 0) report.mutable_failure()->set_cause("a bad record");
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
      part.set_bytes(staged_bytes);
    }
    if (amend != nullptr) amend(report, batch);
    if (deltas && !batch.rebuild()) {
      proto::BlockName& name = *report.mutable_delta();
      name.set_job_instance(kInstance);
      name.set_stream(kDeltaStream);
      name.set_incarnation(report.executor());
      name.set_number(++delta_number_);
    }
    Deliver(executor, m);
    if (report.has_delta() && announce_deltas) AnnounceDelta(report.delta(), "w0");
    if (batch.checkpoint() && !hold_parts) {
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
  uint64_t delta_number_ = 0;
  std::vector<std::tuple<std::string, proto::Generation, proto::GrantedBatch>> held_;
  std::vector<proto::StartExecutor> held_tasks_;
  std::map<uint32_t, std::string> start_workers_;  // by executor
  std::set<uint32_t> tasks_;                       // executors of that role
};

}  // namespace sluice
