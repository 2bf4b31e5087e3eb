// One incarnation of the job driver: the shipping core and log, with the simulator's shell.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "checkpoint/checkpoint_collector.h"
#include "checkpoint/checkpoint_store.h"
#include "driver/job/job_driver_core.h"
#include "driver/job/recovery.h"
#include "tests/sim/site.h"

namespace sluice::sim {

class DriverProcess : public Process {
 public:
  // `ended` is called when it exits by itself, with its code and message.
  using Ended = std::function<void(int code, const std::string& message)>;
  DriverProcess(Site* site, std::string daemon_address, Ended ended);
  ~DriverProcess() override;
  void SetEnded(Ended ended) { ended_ = std::move(ended); }

  // Opens log and epoch; on failure `ended` is called.
  void Start();
  void OnMessage(const std::string& from, proto::Envelope message) override;
  void OnPeerDown(const std::string& address, bool refused) override;
  void OnLinkReset(const std::string&) override {}
  const std::string& address() const { return address_; }
  uint64_t epoch() const { return opened_.job.epoch; }
  const JobDriverCore* core() const { return core_.get(); }
  // It only finishes what was planned in another shape than is wanted.
  bool finishing() const { return finishing_; }
  // It said that it is cancelled without a checkpoint of what is decided.
  bool cancelled_unsealed() const { return cancelled_unsealed_; }

 private:
  void ChooseShape(JobDriverOptions& options);
  void Feed(const DriverEvent& event);
  void ArmTimer();
  void Carry(DriverCommand& command);
  void Append(const AppendEntries& append);
  void FinishAppend(absl::StatusOr<LogPosition> position);
  SourcesListed List(int64_t batch_ms) const;
  ForeachDone Foreach(const RunForeach& run);
  OutputsMarked Mark();
  // publication.cc
  void Publish(const PublishOutput& publish);
  void MoveStaged(const PublishOutput& publish);
  void Hold(const PublishOutput& publish);
  void TakeOver(const PublishOutput& publish);
  void Replace(const PublishOutput& publish);
  void EndPublish(const PublishOutput& publish);
  void FailPublish(const PublishOutput& publish, const std::string& error, bool fatal);
  PublishDone Roll(const RollOutput& roll);
  ManifestPut Put(const PutManifest& put);
  KeptAside Keep(const KeepAside& keep);
  void Collect();
  void After(int64_t delay, std::function<void()> act) {
    site_->world.After(address_, delay, std::move(act));
  }
  void Soon(std::function<void()> act);
  void CheckHolders();
  void SetLogFaults();

  Site* const site_;
  const std::string daemon_address_;
  Ended ended_;
  std::string address_;
  CheckpointStore checkpoints_;
  CheckpointCollector collector_;
  OpenedJob opened_;
  std::unique_ptr<JobDriverCore> core_;
  bool finishing_ = false;
  bool cancelled_unsealed_ = false;
  int64_t timer_at_ = -1;
  uint64_t timer_ = 0;
};

}  // namespace sluice::sim
