#include "worker/daemon/local_block_host.h"

#include <utility>

#include "common/status.h"

namespace sluice {

class LocalBlockHost::Shell : public WorkerShell {
 public:
  Shell(LocalBlockHostOptions options, EventLoop* loop, BlockStore* store)
      : WorkerShell(loop, store), options_(std::move(options)), ending_({.name = "ending"}) {}
  // Executors that have not been ended by now stay.
  void StopEnding() { ending_.Stop(); }

 protected:
  void StartProcess(const worker::StartProcess& command) override {
    if (options_.start_executor) options_.start_executor(command.request);
  }
  void EndProcess(const worker::EndProcess& command) override {
    ending_.PostNow([this, executor = command.executor] {
      if (options_.end_executor) options_.end_executor(executor);
      // Behind all that it has sent while it ended.
      Post(worker::ProcessReaped{executor, "stopped", false, {}, {}});
    });
  }
  void FetchBinary(const worker::FetchBinary&) override {}
  void KeepBinaries(const worker::KeepBinaries&) override {}
  void ForgetExecutor(const ExecutorKey&) override {}
  void Exit(const worker::Exit&) override {}
  std::optional<BatchView> ArenaView(const ExecutorKey&, uint64_t, uint32_t) override {
    return std::nullopt;
  }

 private:
  const LocalBlockHostOptions options_;
  // A receiver that ends hands its last blocks to the loop, and waits until they are taken.
  EventLoop ending_;
};

LocalBlockHost::LocalBlockHost() = default;

absl::StatusOr<std::unique_ptr<LocalBlockHost>> LocalBlockHost::Start(
    LocalBlockHostOptions options, LocalHub* hub, EventLoop* loop) {
  BlockStore::Options store_options;
  store_options.memory_max = options.block_memory;
  store_options.spill_dir = options.spill_dir;
  store_options.shared = false;
  ASSIGN_OR_RETURN(auto store, BlockStore::Open(store_options));
  std::unique_ptr<LocalBlockHost> host(new LocalBlockHost());
  host->store_ = std::move(store);
  host->loop_ = loop;
  WorkerConfig config;
  config.worker_id = options.worker_id;
  config.incarnation = 1;
  config.address = options.address;
  config.host = options.host;
  config.slots = options.slots;
  config.starts_processes = false;
  host->shell_ = std::make_unique<Shell>(std::move(options), loop, host->store_.get());
  host->transport_ = hub->Open(config.address, host->shell_.get(), loop);
  if (host->transport_ == nullptr) {
    return absl::AlreadyExistsError("the address is taken: " + config.address);
  }
  host->shell_->Begin(config, host->transport_.get());
  return host;
}

LocalBlockHost::~LocalBlockHost() {
  if (transport_ == nullptr) return;
  shell_->StopEnding();
  shell_->End();
  transport_.reset();
  loop_->Sync();  // what the transport had still posted
}

}  // namespace sluice
