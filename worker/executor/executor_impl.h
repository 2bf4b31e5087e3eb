// The inside of executor.h.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "worker/executor/executor.h"
#include "worker/executor/executor_core.h"
#include "worker/executor/state_store.h"
#include "worker/executor/task_bag.h"
#include "worker/executor/task_runner.h"

namespace sluice {

// Threads: `slots` that work, one for the store, one that beats; and some that work in the place of
// one that is held by a task that was left (LeaveTask).
// Locks: mutex_ guards events, bag and flags and is never held while the core, a task or a link is
// at work. `stepping_` makes the core, `state_` and `plan_` belong to one slot at a time.
class Executor::Impl {
 public:
  explicit Impl(ExecutorOptions options);
  ~Impl() { Stop(); }

  void Start(Transport* transport);
  void Stop();
  void Receive(proto::Envelope message);
  void Lost(const std::string& address, bool down);

 private:
  using Incoming = std::variant<ExecutorEvent, proto::ExecutorInit>;

  // executor.cc: the slots.
  void Slot(uint32_t slot);
  void StepAll(std::unique_lock<std::mutex>& lock);
  bool RunOne(uint32_t slot, std::unique_lock<std::mutex>& lock);
  void AwaitWork(std::unique_lock<std::mutex>& lock);
  void Post(Incoming incoming);
  void WakeForBag();
  bool MayRun() const { return !bag_.empty() && running_ < options_.slots; }
  void Relieve();

  // executor_commands.cc: what the core wants done. On the stepping slot.
  void Handle(Incoming& incoming);
  void Init(const proto::ExecutorInit& init);
  absl::Status Build(const proto::ExecutorInit& init);
  absl::Status ProbeOutputs(const proto::ExecutorInit& init);
  void Do(Send& command);
  void Do(SendBundle& command);
  void Do(DropAllAndLoad& command);
  void Do(RunTasks& command);
  void Do(LeaveTask& command);
  void Leave(StageRun& stage, uint32_t index);
  void Do(MergeLayers& command);
  void Do(SnapshotAndWrite& command);
  void Do(ForgetSealed& command);
  void Do(RestorePending& command);
  void Do(SealDelta& command);
  void Do(WakeAt& command);
  void InBackground(std::function<void()> work);
  void Background();
  void Beat();
  void SayHello();
  void SayReady();

  const ExecutorOptions options_;
  Transport* transport_ = nullptr;
  std::unique_ptr<TransportBlockReader> own_blocks_;

  // Made by Init, on the stepping slot; `setup_` is complete before the first task is in the bag.
  std::shared_ptr<const LineageGraph> graph_;
  std::unique_ptr<StagePlan> plan_;
  std::unique_ptr<ExecutorCore> core_;
  TaskSetup setup_;
  StateBackend backend_;
  std::shared_ptr<StateStore> state_;
  EffectGate effects_;

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable beat_pause_;
  std::deque<Incoming> events_;
  TaskBag bag_;
  std::vector<std::weak_ptr<StageRun>> stages_;  // that have not ended; the stepping slot's own
  uint32_t running_ = 0;                         // tasks that were not left; never above `slots`
  uint32_t idle_ = 0;
  bool stepping_ = false;
  bool stopping_ = false;
  MonotonicTime wake_at_ = 0;
  uint64_t subscription_ = 0;
  std::optional<proto::ExecutorReady> ready_;  // the answer to ExecutorInit
  bool granted_ = false;                       // the answer has arrived

  std::vector<std::unique_ptr<TaskRunner>> runners_;  // by slot; each used by its slot only
  std::vector<std::thread> slot_threads_;      // guarded by mutex_ until they are stopped
  std::vector<std::thread> threads_;
  std::mutex background_mutex_;
  std::condition_variable background_work_;
  std::deque<std::function<void()>> background_;
  bool background_stopping_ = false;
};

}  // namespace sluice
