// A task executor: the shipping core, state tables and task runner, with the simulator's shell.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/plan/stages.h"
#include "tests/sim/site.h"
#include "worker/executor/executor_core.h"
#include "worker/executor/state_store.h"
#include "worker/executor/task_bag.h"
#include "worker/executor/task_runner.h"

namespace sluice::sim {

class ExecutorProcess : public Process, private BlockReader, private OutputStager {
 public:
  ExecutorProcess(Site* site, const std::string& host, std::string worker_id, std::string daemon,
                  proto::StartExecutor request);
  ~ExecutorProcess() override;
  void OnMessage(const std::string& from, proto::Envelope message) override;
  void OnPeerDown(const std::string& address, bool refused) override;
  void OnLinkReset(const std::string& address) override;
  const std::string& address() const { return address_; }

 private:
  void Beat();
  void Init(const proto::ExecutorInit& init);
  std::string Refused(const proto::ExecutorInit& init);
  void SayReady();
  void Feed(ExecutorEvent event);
  void Do(Send& command);
  void Do(SendBundle& command);
  void Do(DropAllAndLoad& command);
  void Do(RunTasks& command);
  void Do(LeaveTask& command);
  void RunOne(StageRun& stage, uint32_t index);
  void FillSlots();
  void Load(GenerationId generation, StateStore& state, const proto::Grant& grant);
  // What reading the grant's deltas takes, in the load that is just over.
  int64_t ReadingUs(const proto::Grant& grant) const;
  void Do(MergeLayers& command) { state_->MergeUpTo(command.batch_ms); }
  void Do(SnapshotAndWrite& command);
  void Do(ForgetSealed&) { state_->ForgetSealed(); }
  void Do(RestorePending&);
  void Do(SealDelta& command);
  void Do(WakeAt& command);
  void After(int64_t delay, std::function<void()> act) {
    site_->world.After(address_, delay, std::move(act));
  }
  absl::StatusOr<std::unique_ptr<BlockBytes>> Read(
      const proto::BlockInfo& block, const proto::GrantedBatch::Holders& holders) override;
  absl::Status Stage(const StagedPart& part, const BatchView& lines,
                     proto::OutputPart* staged) override;

  Site* const site_;
  const std::string worker_id_;
  const std::string daemon_;
  const proto::StartExecutor request_;
  std::string address_;
  std::unique_ptr<StagePlan> plan_;
  std::unique_ptr<ExecutorCore> core_;
  std::unique_ptr<TaskRunner> runner_;
  std::shared_ptr<StateStore> state_;
  std::vector<std::weak_ptr<StageRun>> stages_;  // that may not have ended
  TaskBag bag_;           // of tasks that take as long as their records need
  uint32_t in_slots_ = 0;
  EffectGate effects_;
  std::optional<proto::ExecutorReady> ready_;
  uint32_t key_groups_ = 0;
  int deltas_read_ = 0;     // blocks, in the last load of state
  int deltas_fetched_ = 0;  // of these, from other nodes
  bool granted_ = false;
  uint64_t wake_ = 0;
};

}  // namespace sluice::sim
