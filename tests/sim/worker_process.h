// A worker daemon: the shipping core, with the simulator's shell and block store.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "tests/sim/executor_process.h"
#include "tests/sim/receiver_process.h"
#include "tests/sim/site.h"
#include "worker/daemon/worker_core.h"

namespace sluice::sim {

class WorkerProcess : public Process {
 public:
  WorkerProcess(Site* site, const std::string& host, std::string worker_id,
                std::string daemon_address);
  // Its executors end with it, and so do the blocks in its memory.
  ~WorkerProcess() override;
  void OnMessage(const std::string& from, proto::Envelope message) override;
  void OnPeerDown(const std::string& address, bool refused) override;
  void OnLinkReset(const std::string& address) override;

  const std::string& address() const { return config_.address; }
  const proto::ClusterMembers::Member& member() const { return member_; }
  // Every executor here, by its key; one that `crash` kills is reaped soon after.
  std::vector<ExecutorKey> executors(bool receivers) const;
  void Crash(const ExecutorKey& key);
  std::vector<ReceiverProcess*> receivers();
  std::vector<std::string> addresses() const;  // of all processes of the node
  // Blocks that had two copies once and of which this one is the last.
  bool HasLastCopies() const;
  // Blocks that have not had two yet, and that the job driver was told of.
  bool HasToldAlone() const;
  size_t blocks() const { return blocks_; }

 private:
  void Feed(worker::Event event);
  void Tick();
  void Do(Send& command);
  void Do(worker::StoreSlice& command);
  void Do(worker::SendCopy& command);
  void Do(worker::LogBlock& command);
  void Do(worker::ReadLogged& command);
  void Do(worker::DropBlock& command);
  void Do(worker::DropJob&) { LoseBlocks(); }  // there is one job
  void Do(worker::FetchBinary&) {}
  void Do(worker::KeepBinaries&) {}
  void Do(worker::StartProcess& command);
  void Do(worker::EndProcess& command);
  void Do(worker::ForgetExecutor& command) { arenas_.erase(command.executor); }
  void Do(worker::Say& command) { site_->world.Trace(address(), command.line); }
  void Do(worker::Exit&) {}
  void LoseBlocks();
  bool IsOnlyHolder(const ArchivedBlock& block) const;
  void AnswerFetch(const std::string& from, const proto::FetchBlock& fetch);
  void TakeCopy(const std::string& from, proto::BlockCopy& copy);
  void Keep(const proto::BlockInfo& info, const std::string& bytes);
  void After(int64_t delay, std::function<void()> act) {
    site_->world.After(address(), delay, std::move(act));
  }

  Site* const site_;
  proto::ClusterMembers::Member member_;
  WorkerConfig config_;
  std::unique_ptr<WorkerCore> core_;
  std::map<ExecutorKey, std::unique_ptr<ExecutorProcess>> tasks_;
  std::map<ExecutorKey, std::unique_ptr<ReceiverProcess>> receivers_;
  // What receivers that have ended left, by where it was.
  std::map<ExecutorKey, std::map<uint64_t, std::string>> arenas_;
  size_t blocks_ = 0;
};

}  // namespace sluice::sim
