#include "tests/sim/executor_process.h"

#include <algorithm>
#include <utility>

#include "checkpoint/checkpoint_store.h"
#include "checkpoint/errors.h"
#include "checkpoint/output_marker.h"
#include "checkpoint/rocksdb_sorted_db.h"
#include "common/delta_stream.h"
#include "common/status.h"
#include "worker/executor/delta_seal.h"
#include "worker/executor/grant_owners.h"

namespace sluice::sim {
namespace {

constexpr int64_t kBeatUs = 50'000;
constexpr int64_t kTaskUs = 100;  // beside its records

int64_t SourceRecords(const TaskWork& work) {
  int64_t records = 0;
  if (work.input == nullptr) return records;
  for (const auto& piece : work.input->pieces()) {
    if (piece.has_block()) records += static_cast<int64_t>(piece.block().records());
    if (piece.has_constant()) records += piece.constant().end() - piece.constant().begin();
  }
  return records;
}

class ArchivedBytes : public BlockBytes {
 public:
  explicit ArchivedBytes(std::string_view bytes) : bytes_(bytes) {}
  std::string_view bytes() const override { return bytes_; }

 private:
  std::string_view bytes_;
};

}  // namespace

ExecutorProcess::ExecutorProcess(Site* site, const std::string& host, std::string worker_id,
                                 std::string daemon, proto::StartExecutor request)
    : site_(site),
      worker_id_(std::move(worker_id)),
      daemon_(std::move(daemon)),
      request_(std::move(request)),
      address_(site->world.Attach(host, "-executor", this)) {
  Beat();
}

ExecutorProcess::~ExecutorProcess() { site_->world.Detach(address_); }

void ExecutorProcess::Beat() {
  proto::Envelope beat;
  if (granted_) {
    beat.mutable_executor_beat()->set_executor(request_.executor());
  } else {
    auto& attach = *beat.mutable_executor_attach();
    attach.set_job_instance(request_.job_instance());
    attach.set_epoch(request_.epoch());
    attach.set_executor(request_.executor());
    attach.set_link_address(address_);
  }
  site_->world.Send(address_, daemon_, std::move(beat));
  if (!ready_) {
    proto::Envelope message;
    auto& hello = *message.mutable_executor_hello();
    hello.set_job_instance(request_.job_instance());
    hello.set_epoch(request_.epoch());
    hello.set_executor(request_.executor());
    hello.set_worker_id(worker_id_);
    hello.set_link_address(address_);
    site_->world.Send(address_, request_.job_driver_address(), std::move(message));
  } else if (!granted_) {
    SayReady();
  }
  After(kBeatUs, [this] { Beat(); });
}

void ExecutorProcess::SayReady() {
  proto::Envelope message;
  *message.mutable_executor_ready() = *ready_;
  site_->world.Send(address_, request_.job_driver_address(), std::move(message));
}

void ExecutorProcess::Init(const proto::ExecutorInit& init) {
  if (!ready_) {
    plan_ = std::make_unique<StagePlan>(*site_->graph, init.partitions());
    TaskSetup setup;
    setup.plan = plan_.get();
    setup.job_instance = request_.job_instance();
    setup.zero_ms = init.zero_ms();
    const int64_t interval_ms = std::stoll(init.conf().at("batch_interval_ms"));
    setup.batch_interval_ms = interval_ms;
    setup.key_groups = key_groups_ = init.key_groups();
    setup.blocks = this;
    setup.outputs = this;
    setup.effects = &effects_;
    if (site_->knobs.bad_records_aside) setup.bad_records_max = 5;
    setup.deltas = init.deltas() != 0;
    runner_ = std::make_unique<TaskRunner>(setup, 0);
    bag_.SetStages(plan_->stages().size());
    ExecutorCoreOptions options;
    options.executor = request_.executor();
    options.job_instance = request_.job_instance();
    options.job_driver = request_.job_driver_address();
    options.zero_ms = init.zero_ms();
    options.batch_interval_ms = interval_ms;
    options.chunk_bytes = site_->knobs.chunk_bytes;
    options.deltas = init.deltas();
    options.straggler_copies = site_->knobs.straggler_copies;
    core_ = std::make_unique<ExecutorCore>(options, plan_.get());
    ready_.emplace();
    ready_->set_executor(request_.executor());
    ready_->set_binary_digest(init.binary_digest());
    ready_->set_graph_fingerprint(site_->graph->Fingerprint());
    ready_->set_refused(Refused(init));
  }
  SayReady();
}

// As one that looks for the marker in the folder of each output that it is told of.
std::string ExecutorProcess::Refused(const proto::ExecutorInit& init) {
  const auto& outputs = site_->graph->outputs();
  const bool told = std::any_of(outputs.begin(), outputs.end(), [&](const Output& output) {
    return init.conf().contains(ProbedOutputKey(output.id));
  });
  if (told && !site_->marked.contains(request_.epoch())) return "an output has no marker";
  const bool goes_on = request_.epoch() == site_->epoch && !site_->log.decided().empty();
  if (!told || !goes_on || !site_->Chance(site_->world.faults.outputs_unseen)) return "";
  site_->world.Count("recovery: executor that does not see an output");
  return "an output is not seen";
}

void ExecutorProcess::OnMessage(const std::string&, proto::Envelope message) {
  switch (message.message_case()) {
    case proto::Envelope::kExecutorInit: return Init(message.executor_init());
    case proto::Envelope::kGrant:
      granted_ = true;
      return Feed(GrantIn{std::move(*message.mutable_grant())});
    case proto::Envelope::kBatchGrant:
      return Feed(BatchGrantIn{std::move(*message.mutable_batch_grant())});
    case proto::Envelope::kShareBundle:
      return Feed(BundleIn{
          std::make_shared<proto::ShareBundle>(std::move(*message.mutable_share_bundle()))});
    case proto::Envelope::kSealedSlices:
      for (const uint64_t number : message.sealed_slices().arena_offsets()) {
        Feed(DeltaSealed{number});
      }
      return;
    default: return;
  }
}

void ExecutorProcess::OnPeerDown(const std::string& address, bool) {
  Feed(LinkLost{address, true});
}

void ExecutorProcess::OnLinkReset(const std::string& address) { Feed(LinkLost{address, false}); }

void ExecutorProcess::Feed(ExecutorEvent event) {
  if (core_ == nullptr) return;
  for (ExecutorCommand& command : core_->Step(site_->world.now(), std::move(event))) {
    std::visit([this](auto& c) { Do(c); }, command);
  }
  if (core_->batches_shared() > ExecutorCore::kBatchesShared) {
    site_->Break("bounded: an executor holds shares of " +
                 std::to_string(core_->batches_shared()) + " batches");
  }
}

void ExecutorProcess::Do(Send& command) {
  if (command.message.has_stage_late()) site_->world.Count("copies: asked for");
  if (command.message.has_copy_differs()) site_->world.Count("copies: gave something else");
  site_->world.Send(address_, command.to, std::move(command.message));
}

void ExecutorProcess::Do(SendBundle& command) {
  proto::Envelope message;
  *message.mutable_share_bundle() = *command.bundle;
  site_->world.Send(address_, command.to, std::move(message));
}

void ExecutorProcess::Do(DropAllAndLoad& command) {
  site_->world.Count("recovery: grant taken");
  const GenerationId generation = command.generation;
  effects_.Begin(generation);
  bag_.Clear();  // tasks that run go on, for nobody
  if (command.keep_state && state_ != nullptr) {
    After(100, [this, generation] { Feed(StateLoaded{generation, ""}); });
    return;
  }
  StateBackend backend;
  if (site_->knobs.state_on_disk) {
    site_->world.Count("state: on disk");
    backend.open = [] { return OpenRocksDbSorted({}); };
    backend.part_bytes = 500;  // so that partitions go on in further objects
  }
  state_ = std::make_shared<StateStore>(plan_.get(), key_groups_, std::move(backend));
  After(site_->world.random.Between(200, 10'000),
        [this, generation, state = state_, grant = std::move(command.grant)] {
          Load(generation, *state, grant);
        });
}

void ExecutorProcess::Load(GenerationId generation, StateStore& state, const proto::Grant& grant) {
  if (grant.chains_size() > 0) site_->world.Count("recovery: state loaded from parts");
  if (std::any_of(grant.chains().begin(), grant.chains().end(),
                  [](const auto& chain) { return chain.partitions() != 0; })) {
    site_->world.Count("recovery: state divided anew");
  }
  if (grant.chains_size() > 0) site_->SetReadFaults();
  deltas_read_ = deltas_fetched_ = 0;
  const absl::Status loaded =
      state.Load(grant, PlaceUnder(grant, request_.executor()), OwnersUnder(grant),
                 &site_->objects, site_->codec.get(), this);
  site_->objects.SetFaults({});
  const bool lost = absl::IsAborted(loaded);
  if (site_->knobs.state_on_disk && site_->killed && loaded.ok() && grant.chains_size() > 0) {
    site_->world.Count("state: on disk, loaded after a kill");
  }
  if (grant.deltas_size() > 0) {
    site_->world.Count(lost ? "recovery: a delta could not be read"
                            : "recovery: state completed by deltas");
  }
  if (loaded.ok() && deltas_read_ < grant.deltas_size()) {
    site_->world.Count("recovery: deltas of other partitions left unread");
  }
  const StateLoaded event{generation, std::string(Message(loaded)), IsDamaged(loaded), lost};
  const int64_t reading_us = ReadingUs(grant);
  if (reading_us == 0) return Feed(event);
  After(reading_us, [this, event] { Feed(event); });
}

// Of the deltas' entries each member takes as many as any other.
int64_t ExecutorProcess::ReadingUs(const proto::Grant& grant) const {
  const sim::Knobs& knobs = site_->knobs;
  uint64_t bytes = 0;
  for (const auto& delta : grant.deltas()) bytes += delta.block().bytes();
  const uint64_t own_kib = bytes / 1024 / static_cast<uint64_t>(grant.members_size());
  const int64_t turns = (deltas_fetched_ + knobs.delta_reads - 1) / knobs.delta_reads;
  return turns * knobs.delta_block_us + static_cast<int64_t>(own_kib) * knobs.delta_kib_us;
}

void ExecutorProcess::Do(RunTasks& command) {
  if (command.rebuild) site_->world.Count("recovery: batch rebuilt");
  if (command.copy) site_->world.Count("copies: run");
  auto stage = std::make_shared<StageRun>(std::move(command), state_);
  std::erase_if(stages_, [](const auto& known) { return known.expired(); });
  stages_.push_back(stage);
  if (site_->knobs.record_us != 0) {
    bag_.Add(std::move(stage));
    return FillSlots();
  }
  for (uint32_t i = 0; i < stage->run.tasks.size(); ++i) {
    int64_t delay = site_->world.random.Between(100, 5'000);
    if (site_->Chance(site_->world.faults.task_slow)) {
      site_->world.Count("task: slow");
      delay = site_->world.random.Between(20'000, 400'000);
    }
    stage->Begin(i, 0);
    After(delay, [this, stage, i] { RunOne(*stage, i); });
  }
}

// In the order of the shipping executor.
void ExecutorProcess::FillSlots() {
  while (in_slots_ < request_.slots() && !bag_.empty()) {
    const BagTask task = bag_.Take();
    if (!task.stage->Begin(task.index, 0)) continue;
    ++in_slots_;
    const TaskWork& work = task.stage->run.tasks[task.index];
    After(kTaskUs + SourceRecords(work) * site_->knobs.record_us, [this, task] {
      --in_slots_;
      RunOne(*task.stage, task.index);
      FillSlots();
    });
  }
}

void ExecutorProcess::RunOne(StageRun& stage, uint32_t index) {
  const TaskWork& work = stage.run.tasks[index];
  TaskOutcome outcome = runner_->Run(stage.run, work, *stage.state);
  const bool of_source = plan_->stages()[stage.run.stage].is_source;
  const bool thrown = of_source && site_->Chance(site_->world.faults.map_throws);
  // A poisoned record stays the reason why its task failed: the checks go by it.
  if (thrown && !std::holds_alternative<FailedTask>(outcome)) {
    site_->world.Count(stage.run.copy ? "copies: failed" : "task: threw");
    FailedTask failed;
    failed.task = work.task;
    failed.failure.set_cause("thrown by the dice");
    outcome = failed;
  }
  const auto* failed = std::get_if<FailedTask>(&outcome);
  const bool again = failed != nullptr && !stage.run.copy;
  const bool own_fault = again && failed->own_fault;
  std::optional<TasksEnded> ended;
  if (!stage.End(index, std::move(outcome), &ended)) {
    return site_->world.Count(stage.run.copy ? "copies: ended in vain" : "copies: loser ended");
  }
  if (again) {
    site_->world.Count(own_fault ? "recovery: task tried again" : "recovery: input waited for");
  }
  if (ended.has_value()) Feed(*std::move(ended));
}

void ExecutorProcess::Do(LeaveTask& command) {
  for (const auto& known : stages_) {
    const std::shared_ptr<StageRun> stage = known.lock();
    if (stage == nullptr || !stage->Runs(command)) continue;
    for (uint32_t i = 0; i < stage->run.tasks.size(); ++i) {
      if (stage->run.tasks[i].task != command.task) continue;
      std::optional<TasksEnded> ended;
      const auto left = stage->Leave(i, [](uint32_t) {}, &ended);
      if (!left.has_value()) continue;
      site_->world.Count(command.copy ? "copies: came second" : "copies: came first");
      if (ended.has_value()) After(0, [this, ended = *ended] { Feed(ended); });
    }
  }
}

void ExecutorProcess::Do(SnapshotAndWrite& command) {
  state_->BeginSnapshot(command.batch_ms);
  int64_t delay = site_->world.random.Between(200, 5'000);
  if (site_->Chance(site_->world.faults.objects_slow)) {
    site_->world.Count("objects: put slow");
    delay = site_->world.random.Between(100'000, 800'000);
  }
  const std::string name = StatePartName(
      request_.job_instance(), command.batch_ms,
      "e" + std::to_string(command.generation.epoch) + "g" +
          std::to_string(command.generation.number) + "x" + std::to_string(request_.executor()));
  After(delay, [this, command, name, state = state_] {
    site_->SetObjectFaults();
    auto written = state->Write(command.batch_ms, name, &site_->objects, site_->codec.get());
    site_->objects.SetFaults({});
    PartWritten event{command.generation, command.batch_ms, "", {}, 0};
    if (written.ok()) {
      event.pieces = std::move(written->pieces);
      event.bytes = written->bytes;
    } else {
      event.error = std::string(Message(written.status()));
    }
    Feed(std::move(event));
  });
}

void ExecutorProcess::Do(RestorePending&) {
  site_->world.Count("recovery: checkpoint given up, changes kept");
  state_->RestorePending();
}

void ExecutorProcess::Do(SealDelta& command) {
  site_->world.Send(address_, daemon_, MessageOf(command));
}

void ExecutorProcess::Do(WakeAt& command) {
  After(command.time - site_->world.now(), [this, wake = ++wake_] {
    if (wake == wake_) Feed(WakeUp{});
  });
}

// From any holder that can be reached, at once: what reading takes is in the time of the task.
absl::StatusOr<std::unique_ptr<BlockBytes>> ExecutorProcess::Read(
    const proto::BlockInfo& block, const proto::GrantedBatch::Holders& holders) {
  const auto archived = site_->blocks.find(IdOf(block.name()));
  if (archived == site_->blocks.end()) return absl::UnavailableError("no such block");
  if (block.name().stream() == kDeltaStream) {
    const auto& ids = holders.worker_ids();
    ++deltas_read_;
    if (std::find(ids.begin(), ids.end(), worker_id_) == ids.end()) ++deltas_fetched_;
  }
  for (int i = 0; i < holders.worker_ids_size(); ++i) {
    const std::string& holder = holders.worker_ids(i);
    const std::string host = World::HostOf(holders.addresses(i));
    if (!archived->second.holders.contains(holder)) continue;
    if (host != World::HostOf(address_)) {
      if (!site_->world.Reaches(World::HostOf(address_), host)) continue;
      if (!site_->world.Reaches(host, World::HostOf(address_))) continue;
      site_->world.Count("recovery: block read from another node");
    }
    return std::make_unique<ArchivedBytes>(archived->second.bytes);
  }
  return absl::UnavailableError("no holder can be reached");
}

absl::Status ExecutorProcess::Stage(const StagedPart& part, const BatchView& lines,
                                    proto::OutputPart* staged) {
  if (site_->Chance(site_->world.faults.task_throws)) {
    site_->world.Count("task: output cannot be written");
    return absl::InternalError("no space");
  }
  if (part.rolls && lines.count == 0) return absl::OkStatus();
  const std::string directory = StagedDirectory(part);
  std::vector<std::string>& rows = site_->files.staged[directory][part.piece];
  rows.clear();
  for (uint32_t i = 0; i < lines.count; ++i) rows.emplace_back(lines.record(i));
  staged->set_staged_path(directory);
  staged->set_bytes(FileBytes(part, lines).size());
  return absl::OkStatus();
}

}  // namespace sluice::sim
