#include "worker/daemon/worker_shell.h"

#include <glog/logging.h>

#include <memory>
#include <utility>

#include "checkpoint/open_store.h"

namespace sluice {
namespace {

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

}  // namespace

void WorkerShell::Begin(const WorkerConfig& config, Transport* transport) {
  loop_->PostNow([this, config, transport] {
    transport_ = transport;
    core_ = std::make_unique<WorkerCore>(config);
    data_ = std::make_unique<DataPlane>(
        store_, transport, [this](worker::Event event) { Feed(std::move(event)); },
        [this](worker::Event event) { Post(std::move(event)); },
        [this](const ExecutorKey& executor, uint64_t offset, uint32_t records) {
          return ArenaView(executor, offset, records);
        });
    received_log_ = std::make_unique<ReceivedLog>(
        store_, OpenObjectStore, [this](worker::Event event) { Post(std::move(event)); });
    Tick();
  });
}

void WorkerShell::Tick() {
  Feed(worker::Tick{store_->total_bytes()});
  timer_ = loop_->RunAfter(core_->config().tick_us, [this] { Tick(); });
}

void WorkerShell::End() {
  loop_->PostNow([this] {
    loop_->Cancel(timer_);
    core_.reset();
    data_.reset();
    events_.clear();
  });
  loop_->Sync();
  received_log_.reset();
}

void WorkerShell::OnMessage(const std::string& from, proto::Envelope message) {
  loop_->Post([this, from, message = std::move(message)]() mutable {
    if (core_ == nullptr) return;
    if (!data_->Handle(from, message)) Feed(worker::Received{from, std::move(message)});
  });
}

void WorkerShell::OnPeerDown(const std::string& address, bool refused) {
  loop_->PostNow([this, address, refused] {
    if (core_ == nullptr) return;
    data_->OnPeerDown(address);
    Feed(worker::PeerDown{address, refused});
  });
}

void WorkerShell::OnPeerDenied(const std::string& address, const std::string& why) {
  Post(worker::PeerDenied{address, why});
}

void WorkerShell::OnLinkReset(const std::string& address) {
  Post(worker::LinkReset{address});
}

void WorkerShell::Post(worker::Event event) {
  loop_->PostNow([this, event = std::move(event)]() mutable {
    if (core_ != nullptr) Feed(std::move(event));
  });
}

void WorkerShell::Feed(worker::Event event) {
  events_.push_back(std::move(event));
  if (stepping_) return;
  stepping_ = true;
  while (!events_.empty()) {
    worker::Event next = std::move(events_.front());
    events_.pop_front();
    worker::Commands commands = core_->Step(loop_->clock().MonotonicUs(), std::move(next));
    for (worker::Command& command : commands) Do(command);
  }
  stepping_ = false;
}

void WorkerShell::Do(worker::Command& command) {
  std::visit(Overloaded{
                 [&](Send& c) { transport_->Send(c.to, std::move(c.message)); },
                 [&](worker::StoreSlice& c) { data_->Do(std::move(c)); },
                 [&](worker::SendCopy& c) { data_->Do(c); },
                 [&](worker::LogBlock& c) { received_log_->Do(c); },
                 [&](worker::ReadLogged& c) { received_log_->Do(c); },
                 [&](worker::DropBlock& c) { store_->Drop(c.block); },
                 [&](worker::DropJob& c) {
                   store_->DropJob(c.job_instance);
                   received_log_->Forget(c.job_instance);
                 },
                 [&](worker::FetchBinary& c) { FetchBinary(c); },
                 [&](worker::KeepBinaries& c) { KeepBinaries(c); },
                 [&](worker::StartProcess& c) { StartProcess(c); },
                 [&](worker::EndProcess& c) { EndProcess(c); },
                 [&](worker::ForgetExecutor& c) { ForgetExecutor(c.executor); },
                 [&](worker::Say& c) { LOG(INFO) << c.line; },
                 [&](worker::Exit& c) { Exit(c); },
             },
             command);
}

}  // namespace sluice
