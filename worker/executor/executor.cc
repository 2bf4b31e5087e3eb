// The executor's slots. What the core wants done is in executor_commands.cc.
#include "worker/executor/executor.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "worker/executor/executor_impl.h"

namespace sluice {
namespace {

// Less work than this is not worth waking a sleeping core for.
constexpr uint64_t kWakeUs = 200;

// A share of a copy: it may be for a task that holds a slot here.
bool OfCopy(const std::variant<ExecutorEvent, proto::ExecutorInit>& incoming) {
  const auto* event = std::get_if<ExecutorEvent>(&incoming);
  const auto* in = event == nullptr ? nullptr : std::get_if<BundleIn>(event);
  return in != nullptr && in->bundle->has_copy();
}

void PinTo(uint32_t core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);  // no harm when it fails
}

}  // namespace

// ---- the outside -----------------------------------------------------------------------------

Executor::Executor(ExecutorOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Executor::~Executor() = default;
void Executor::Start(Transport* transport) { impl_->Start(transport); }
void Executor::Stop() { impl_->Stop(); }
void Executor::OnMessage(const std::string&, proto::Envelope message) {
  impl_->Receive(std::move(message));
}
void Executor::OnPeerDown(const std::string& address, bool) { impl_->Lost(address, true); }
void Executor::OnLinkReset(const std::string& address) { impl_->Lost(address, false); }

// ---- start and stop --------------------------------------------------------------------------

Executor::Impl::Impl(ExecutorOptions options) : options_(std::move(options)) {
  if (options_.blocks == nullptr) {
    own_blocks_ = std::make_unique<TransportBlockReader>(options_.local_blocks);
  }
  runners_.resize(kThreadsPerSlot * options_.slots);
}

void Executor::Impl::Start(Transport* transport) {
  transport_ = transport;
  if (own_blocks_ != nullptr) own_blocks_->SetTransport(transport);
  subscription_ = options_.clock->Subscribe([this] {
    std::lock_guard lock(mutex_);
    work_.notify_all();
  });
  {
    std::lock_guard lock(mutex_);
    for (uint32_t slot = 0; slot < options_.slots; ++slot) {
      slot_threads_.emplace_back([this, slot] { Slot(slot); });
    }
  }
  threads_.emplace_back([this] { Background(); });
  threads_.emplace_back([this] { Beat(); });
}

void Executor::Impl::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    work_.notify_all();
    beat_pause_.notify_all();
  }
  {
    std::lock_guard lock(background_mutex_);
    background_stopping_ = true;
    background_work_.notify_all();
  }
  for (std::thread& thread : slot_threads_) thread.join();  // none is added any more
  slot_threads_.clear();
  for (std::thread& thread : threads_) thread.join();
  if (!threads_.empty()) options_.clock->Unsubscribe(subscription_);
  threads_.clear();
}

// ---- what comes in ---------------------------------------------------------------------------

void Executor::Impl::Receive(proto::Envelope message) {
  switch (message.message_case()) {
    case proto::Envelope::kExecutorInit:
      return Post(std::move(*message.mutable_executor_init()));
    case proto::Envelope::kGrant:
      return Post(GrantIn{std::move(*message.mutable_grant())});
    case proto::Envelope::kBatchGrant:
      return Post(BatchGrantIn{std::move(*message.mutable_batch_grant())});
    case proto::Envelope::kShareBundle:
      return Post(BundleIn{
          std::make_shared<const proto::ShareBundle>(std::move(*message.mutable_share_bundle()))});
    case proto::Envelope::kSealedSlices:
      for (const uint64_t number : message.sealed_slices().arena_offsets()) {
        Post(DeltaSealed{number});
      }
      return;
    case proto::Envelope::kFetchedBlock:
      if (own_blocks_ == nullptr) return;
      return own_blocks_->OnFetched(message.fetched_block());
    default:
      return;  // not for an executor
  }
}

void Executor::Impl::Lost(const std::string& address, bool down) {
  if (down && own_blocks_ != nullptr) own_blocks_->OnPeerDown(address);
  Post(LinkLost{address, down});
}

void Executor::Impl::Post(Incoming incoming) {
  std::lock_guard lock(mutex_);
  const bool of_copy = OfCopy(incoming);
  events_.push_back(std::move(incoming));
  if (stepping_) return;
  if (idle_ > 0) {
    work_.notify_one();
  } else if (of_copy) {
    Relieve();
  }
}

// All slots are held by tasks, one of which may have become useless: a thread more sees to that,
// and takes its place. It stays.
void Executor::Impl::Relieve() {
  const auto slot = static_cast<uint32_t>(slot_threads_.size());
  if (stopping_ || slot < options_.slots || slot >= runners_.size()) return;
  slot_threads_.emplace_back([this, slot] { Slot(slot); });
}

// ---- the slots -------------------------------------------------------------------------------

void Executor::Impl::Slot(uint32_t slot) {
  if (options_.pin_slots && options_.slots <= std::thread::hardware_concurrency()) {
    PinTo(slot % options_.slots);
  }
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!events_.empty() && !stepping_) {
      StepAll(lock);
    } else if (!RunOne(slot, lock)) {
      AwaitWork(lock);
    }
  }
}

// Steps the core through all that has come in. Whoever brings more meanwhile leaves it here.
void Executor::Impl::StepAll(std::unique_lock<std::mutex>& lock) {
  stepping_ = true;
  while (!events_.empty() && !stopping_) {
    Incoming incoming = std::move(events_.front());
    events_.pop_front();
    lock.unlock();
    Handle(incoming);
    lock.lock();
  }
  stepping_ = false;
  WakeForBag();
}

// Another slot is woken when what is left for it is worth it.
void Executor::Impl::WakeForBag() {
  if (idle_ > 0 && MayRun() && bag_.expected_us() >= kWakeUs) work_.notify_one();
}

bool Executor::Impl::RunOne(uint32_t slot, std::unique_lock<std::mutex>& lock) {
  if (!MayRun()) return false;
  BagTask task = bag_.Take();
  ++running_;
  WakeForBag();
  lock.unlock();
  StageRun& stage = *task.stage;
  if (!stage.Begin(task.index, slot)) {  // it was left before it began
    lock.lock();
    --running_;
    return true;
  }
  auto& runner = runners_[slot];
  if (runner == nullptr) runner = std::make_unique<TaskRunner>(setup_, slot);
  const MonotonicTime start = options_.clock->MonotonicUs();
  TaskOutcome outcome = runner->Run(stage.run, stage.run.tasks[task.index], *stage.state);
  const MonotonicTime took = options_.clock->MonotonicUs() - start;
  std::optional<TasksEnded> ended;
  const bool counts = stage.End(task.index, std::move(outcome), &ended);
  lock.lock();
  if (!counts) return true;  // its place is another one's already
  --running_;
  bag_.Learn(stage.run.stage, task.input_bytes, static_cast<uint64_t>(took));
  // The last finisher steps the core itself, unless another slot is at it.
  if (ended.has_value()) events_.push_back(ExecutorEvent(*std::move(ended)));
  return true;
}

void Executor::Impl::AwaitWork(std::unique_lock<std::mutex>& lock) {
  const auto ready = [this] {
    const bool due = wake_at_ != 0 && options_.clock->MonotonicUs() >= wake_at_;
    return stopping_ || (!events_.empty() && !stepping_) || MayRun() || due;
  };
  ++idle_;
  if (!ready()) {
    if (wake_at_ == 0 || options_.clock->manual()) {
      work_.wait(lock);
    } else {
      const int64_t pause = std::max<int64_t>(wake_at_ - options_.clock->MonotonicUs(), 0);
      work_.wait_for(lock, std::chrono::microseconds(pause + 50));
    }
  }
  --idle_;
  if (wake_at_ != 0 && options_.clock->MonotonicUs() >= wake_at_) {
    wake_at_ = 0;
    events_.push_back(ExecutorEvent(WakeUp{}));
  }
}

}  // namespace sluice
