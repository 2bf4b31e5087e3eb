// What the executor's core wants done, and the threads beside the slots.
#include <chrono>
#include <cstdlib>
#include <exception>
#include <utility>

#include "checkpoint/checkpoint_store.h"
#include "checkpoint/errors.h"
#include "checkpoint/output_marker.h"
#include "common/passing_error.h"
#include "common/status.h"
#include "glog/logging.h"
#include "worker/executor/delta_seal.h"
#include "worker/executor/executor_impl.h"
#include "worker/executor/grant_owners.h"

namespace sluice {
namespace {

uint32_t Number(const google::protobuf::Map<std::string, std::string>& conf,
                const std::string& key, uint32_t otherwise) {
  const auto it = conf.find(key);
  if (it == conf.end()) return otherwise;
  const unsigned long value = std::strtoul(it->second.c_str(), nullptr, 10);
  return value == 0 ? otherwise : static_cast<uint32_t>(value);
}

std::string MakerName(const GenerationId& generation, uint32_t executor) {
  return "e" + std::to_string(generation.epoch) + "g" + std::to_string(generation.number) + "x" +
         std::to_string(executor);
}

}  // namespace

void Executor::Impl::Handle(Incoming& incoming) {
  if (const auto* init = std::get_if<proto::ExecutorInit>(&incoming)) return Init(*init);
  if (core_ == nullptr) return;  // nothing can be said before the graph is known
  ExecutorEvent& event = std::get<ExecutorEvent>(incoming);
  if (std::holds_alternative<GrantIn>(event)) {
    std::lock_guard lock(mutex_);
    granted_ = true;
  }
  for (ExecutorCommand& command :
       core_->Step(options_.clock->MonotonicUs(), std::move(event))) {
    std::visit([this](auto& c) { Do(c); }, command);
  }
}

// ---- the graph -------------------------------------------------------------------------------

void Executor::Impl::Init(const proto::ExecutorInit& init) {
  bool answered;
  {
    std::lock_guard lock(mutex_);
    answered = ready_.has_value();
  }
  if (!answered) {
    const absl::Status built = Build(init);
    proto::ExecutorReady ready;
    ready.set_executor(options_.executor);
    ready.set_binary_digest(options_.binary_digest);
    if (graph_ != nullptr) ready.set_graph_fingerprint(graph_->Fingerprint());
    ready.set_refused(std::string(Message(built)));
    std::lock_guard lock(mutex_);
    ready_ = std::move(ready);
  }
  SayReady();
}

absl::Status Executor::Impl::Build(const proto::ExecutorInit& init) {
  if (init.binary_digest() != options_.binary_digest) {
    return absl::FailedPreconditionError("this is another binary than the job driver's");
  }
  absl::StatusOr<BuiltGraph> made = absl::UnknownError("");
  try {
    made = options_.build(init);
  } catch (const std::exception& e) {
    made = absl::UnknownError(std::string("the build function threw: ") + e.what());
  } catch (...) {
    made = absl::UnknownError("the build function threw");
  }
  ASSIGN_OR_RETURN(const BuiltGraph built, std::move(made));
  graph_ = built.graph;
  if (graph_->Fingerprint() != init.graph_fingerprint()) {
    return absl::FailedPreconditionError(
        "the build function has made another graph here than in the job driver: what differs from "
        "process to process has to come from Constant()");
  }
  RETURN_IF_ERROR(ProbeOutputs(init));
  plan_ = std::make_unique<StagePlan>(*graph_, init.partitions());
  setup_.plan = plan_.get();
  setup_.job_instance = options_.job_instance;
  setup_.zero_ms = init.zero_ms();
  setup_.batch_interval_ms = built.batch_interval_ms;
  setup_.key_groups = init.key_groups();
  setup_.blocks = options_.blocks != nullptr ? options_.blocks : own_blocks_.get();
  setup_.outputs = options_.outputs;
  setup_.effects = &effects_;
  setup_.board = options_.board;
  setup_.state_lost = options_.state_lost;
  backend_ = built.state;
  if (const auto aside = init.conf().find("bad_records");
      aside != init.conf().end() && aside->second == "aside") {
    setup_.bad_records_max = Number(init.conf(), "bad_records_max", 100);
  }
  setup_.deltas = init.deltas() != 0;
  ExecutorCoreOptions core;
  core.executor = options_.executor;
  core.job_instance = options_.job_instance;
  core.job_driver = options_.job_driver;
  core.zero_ms = init.zero_ms();
  core.batch_interval_ms = built.batch_interval_ms;
  core.deltas = init.deltas();
  const auto copies = init.conf().find("straggler_copies");
  core.straggler_copies = copies != init.conf().end() && copies->second == "on";
  core.task_max_failures = Number(init.conf(), "task_max_failures", core.task_max_failures);
  core_ = std::make_unique<ExecutorCore>(std::move(core), plan_.get());
  std::lock_guard lock(mutex_);
  bag_.SetStages(plan_->stages().size());
  return absl::OkStatus();
}

// Whether this process may write what tasks stage, in the folders that the job driver has marked.
absl::Status Executor::Impl::ProbeOutputs(const proto::ExecutorInit& init) {
  for (const Output& output : graph_->outputs()) {
    if (!init.conf().contains(ProbedOutputKey(output.id))) continue;
    const absl::Status status = options_.outputs->Probe(
        {output.prefix, output.suffix, options_.job_instance, options_.epoch}, options_.executor);
    const std::string where =
        output.label + " to " + output.prefix + ", on worker " + options_.worker_id;
    if (absl::IsNotFound(status)) {
      return absl::FailedPreconditionError(
          "a worker does not see the folder of an output that the job driver sees; mount it there, "
          "or choose a prefix that all nodes of the cluster share: " + where);
    }
    if (MayPass(status)) {
      LOG(WARNING) << "an output cannot be written just now: " << where << ": " << Message(status);
    } else if (!status.ok()) {
      return absl::FailedPreconditionError(
          "an output cannot be written; choose a prefix that all nodes of the cluster may write "
          "to: " + where + ": " + std::string(Message(status)));
    }
  }
  return absl::OkStatus();
}

void Executor::Impl::SayHello() {
  proto::Envelope message;
  proto::ExecutorHello& hello = *message.mutable_executor_hello();
  hello.set_job_instance(options_.job_instance);
  hello.set_epoch(options_.epoch);
  hello.set_executor(options_.executor);
  hello.set_worker_id(options_.worker_id);
  hello.set_link_address(transport_->address());
  transport_->Send(options_.job_driver, std::move(message));
}

void Executor::Impl::SayReady() {
  proto::Envelope message;
  {
    std::lock_guard lock(mutex_);
    *message.mutable_executor_ready() = *ready_;
  }
  transport_->Send(options_.job_driver, std::move(message));
}

// ---- commands --------------------------------------------------------------------------------

void Executor::Impl::Do(Send& command) {
  transport_->Send(command.to, std::move(command.message));
}

void Executor::Impl::Do(SendBundle& command) {
  proto::Envelope message;
  *message.mutable_share_bundle() = *command.bundle;
  transport_->Send(command.to, std::move(message));
}

void Executor::Impl::Do(DropAllAndLoad& command) {
  {
    std::lock_guard lock(mutex_);
    bag_.Clear();  // tasks that run go on, for nobody
  }
  const GenerationId generation = command.generation;
  effects_.Begin(generation);
  if (command.keep_state && state_ != nullptr) {
    return Post(ExecutorEvent(StateLoaded{generation, ""}));
  }
  if (state_ != nullptr) state_->GiveUp();  // its load would stand before the next one
  InBackground([former = std::move(state_)] {});  // it may have a database to close
  state_ = std::make_shared<StateStore>(plan_.get(), setup_.key_groups, backend_);
  InBackground([this, generation, state = state_, grant = std::move(command.grant)] {
    effects_.AwaitOlder(generation);
    const absl::Status loaded =
        state->Load(grant, PlaceUnder(grant, options_.executor), OwnersUnder(grant),
                    options_.objects, options_.codec, setup_.blocks);
    if (state->given_up()) return;
    if (!loaded.ok()) LOG(ERROR) << "the state cannot be loaded: " << loaded;
    Post(ExecutorEvent(StateLoaded{generation, std::string(Message(loaded)), IsDamaged(loaded),
                                   absl::IsAborted(loaded)}));
  });
}

void Executor::Impl::Do(RunTasks& command) {
  auto stage = std::make_shared<StageRun>(std::move(command), state_);
  std::erase_if(stages_, [](const auto& known) { return known.expired(); });
  stages_.push_back(stage);
  std::lock_guard lock(mutex_);
  bag_.Add(std::move(stage));
  WakeForBag();
}

void Executor::Impl::Do(LeaveTask& command) {
  for (const auto& known : stages_) {
    const std::shared_ptr<StageRun> stage = known.lock();
    if (stage == nullptr || !stage->Runs(command)) continue;
    for (uint32_t i = 0; i < stage->run.tasks.size(); ++i) {
      if (stage->run.tasks[i].task == command.task) Leave(*stage, i);
    }
  }
}

// The thread that runs it is not disturbed; what it does counts as nothing.
void Executor::Impl::Leave(StageRun& stage, uint32_t index) {
  std::optional<TasksEnded> ended;
  // Should it end the process, or last too long, it is not to be blamed.
  const auto clear = [this](uint32_t slot) {
    if (options_.board != nullptr) options_.board->End(slot);
  };
  const std::optional<StageRun::Place> was = stage.Leave(index, clear, &ended);
  if (!was.has_value()) return;
  std::lock_guard lock(mutex_);
  if (was->at == StageRun::At::kSlot) --running_;
  if (ended.has_value()) events_.push_back(ExecutorEvent(*std::move(ended)));
  WakeForBag();
}

void Executor::Impl::Do(MergeLayers& command) { state_->MergeUpTo(command.batch_ms); }

void Executor::Impl::Do(SnapshotAndWrite& command) {
  state_->BeginSnapshot(command.batch_ms);
  const std::string name = StatePartName(options_.job_instance, command.batch_ms,
                                         MakerName(command.generation, options_.executor));
  InBackground([this, command, name, state = state_] {
    auto written = state->Write(command.batch_ms, name, options_.objects, options_.codec);
    PartWritten event{command.generation, command.batch_ms, "", {}, 0};
    if (written.ok()) {
      event.pieces = std::move(written->pieces);
      event.bytes = written->bytes;
    } else {
      event.error = std::string(Message(written.status()));
    }
    Post(ExecutorEvent(std::move(event)));
  });
}

void Executor::Impl::Do(ForgetSealed&) {
  InBackground([state = state_] { state->ForgetSealed(); });
}

void Executor::Impl::Do(SealDelta& command) {
  transport_->Send(options_.worker, MessageOf(command));
}

void Executor::Impl::Do(RestorePending&) {
  InBackground([state = state_] { state->RestorePending(); });
}

void Executor::Impl::Do(WakeAt& command) {
  std::lock_guard lock(mutex_);
  const bool earlier = wake_at_ == 0 || command.time < wake_at_;
  wake_at_ = command.time;
  if (earlier && idle_ > 0) work_.notify_all();  // whoever sleeps, sleeps too long
}

// ---- beside the slots ------------------------------------------------------------------------

void Executor::Impl::InBackground(std::function<void()> work) {
  std::lock_guard lock(background_mutex_);
  background_.push_back(std::move(work));
  background_work_.notify_all();
}

// Loads and writes state, one thing after another.
void Executor::Impl::Background() {
  std::unique_lock lock(background_mutex_);
  while (!background_stopping_) {
    if (background_.empty()) {
      background_work_.wait(lock);
      continue;
    }
    const std::function<void()> work = std::move(background_.front());
    background_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

// Tells the daemon that this process lives, and the job driver of itself until it is heard.
void Executor::Impl::Beat() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const bool ready = ready_.has_value();
    const bool granted = granted_;
    lock.unlock();
    if (!options_.worker.empty()) {
      proto::Envelope beat;
      if (!granted) {
        auto& attach = *beat.mutable_executor_attach();
        attach.set_job_instance(options_.job_instance);
        attach.set_epoch(options_.epoch);
        attach.set_executor(options_.executor);
        attach.set_pid(options_.pid);
        attach.set_link_address(transport_->address());
      } else {
        beat.mutable_executor_beat()->set_executor(options_.executor);
      }
      transport_->Send(options_.worker, std::move(beat));
    }
    if (!ready) SayHello();
    if (ready && !granted) SayReady();
    lock.lock();
    if (!stopping_) beat_pause_.wait_for(lock, std::chrono::microseconds(options_.beat_us));
  }
}

}  // namespace sluice
