#include "worker/receiver/receiver_node.h"

#include <exception>
#include <utility>

#include "common/status.h"

namespace sluice {
namespace {

constexpr int kReadyRepeats = 25;
constexpr int64_t kLastSealsMs = 2'000;

}  // namespace

ReceiverNode::ReceiverNode(ReceiverNodeOptions options, std::unique_ptr<BufferPool> pool,
                           EventLoop* loop, PushService* push)
    : options_(std::move(options)), loop_(loop), push_(push), pool_(std::move(pool)) {}

ReceiverNode::~ReceiverNode() { Stop(); }

void ReceiverNode::Start(Transport* transport) {
  transport_ = transport;
  loop_->PostNow([this] { Beat(); });
}

void ReceiverNode::Beat() {
  std::shared_ptr<ReceiverHost> host;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    timer_ = loop_->RunAfter(options_.beat_us, [this] { Beat(); });
    if (readies_left_ > 0) {
      --readies_left_;
      proto::Envelope message;
      *message.mutable_executor_ready() = ready_;
      transport_->Send(options_.job_driver, std::move(message));
    } else if (!building_) {
      SendHello();
    }
    host = host_;
  }
  if (host != nullptr) SendAttach(*host);
}

// Says that this can receive, before anything is sealed. Sent again with every beat, so that a
// daemon that missed the first one learns of it all the same, and of what was taken meanwhile.
void ReceiverNode::SendAttach(const ReceiverHost& host) {
  proto::Envelope message;
  auto* attach = message.mutable_executor_attach();
  attach->set_job_instance(options_.job_instance);
  attach->set_epoch(options_.epoch);
  attach->set_executor(options_.executor);
  attach->set_pid(options_.pid);
  attach->set_push_address(options_.push_address);
  attach->set_link_address(transport_->address());
  for (const proto::ReceiverTaken& taken : host.Taken()) *attach->add_taken() = taken;
  transport_->Send(options_.worker, std::move(message));
}

void ReceiverNode::SendHello() {
  proto::Envelope message;
  auto* hello = message.mutable_executor_hello();
  hello->set_job_instance(options_.job_instance);
  hello->set_epoch(options_.epoch);
  hello->set_executor(options_.executor);
  hello->set_worker_id(options_.worker_id);
  hello->set_link_address(transport_->address());
  hello->set_push_address(options_.push_address);
  transport_->Send(options_.job_driver, std::move(message));
}

void ReceiverNode::OnMessage(const std::string&, proto::Envelope message) {
  std::shared_ptr<ReceiverHost> host;
  {
    std::lock_guard lock(mutex_);
    if (stopping_ && host_ == nullptr) return;
    if (message.has_executor_init()) {
      if (building_ || stopping_) return;
      building_ = true;
      builder_ = std::thread([this, init = message.executor_init()] { Build(init); });
      return;
    }
    host = host_;
  }
  if (host != nullptr) {
    host->OnMessage(message);
  } else if (message.has_seal_tick()) {
    // Nothing was received yet.
    proto::Envelope done;
    done.mutable_seal_done()->set_job_instance(options_.job_instance);
    done.mutable_seal_done()->set_batch_ms(message.seal_tick().batch_ms());
    transport_->Send(options_.worker, std::move(done));
  }
}

void ReceiverNode::OnPeerDown(const std::string& address, bool refused) {
  if (address == options_.worker && refused) options_.report("the worker daemon is gone");
}

void ReceiverNode::Build(const proto::ExecutorInit& init) {
  proto::ExecutorReady ready;
  ready.set_executor(options_.executor);
  ready.set_binary_digest(options_.binary_digest);
  uint64_t fingerprint = 0;
  absl::Status built;
  try {
    built = BuildHost(init, &fingerprint);
  } catch (const std::exception& error) {
    built = absl::UnknownError(std::string("the build function threw: ") + error.what());
  } catch (...) {
    built = absl::UnknownError("the build function threw");
  }
  ready.set_graph_fingerprint(fingerprint);
  ready.set_refused(std::string(Message(built)));
  proto::Envelope message;
  *message.mutable_executor_ready() = ready;
  std::lock_guard lock(mutex_);
  ready_ = std::move(ready);
  readies_left_ = kReadyRepeats;
  if (!stopping_) transport_->Send(options_.job_driver, std::move(message));
}

absl::Status ReceiverNode::BuildHost(const proto::ExecutorInit& init, uint64_t* fingerprint) {
  if (init.binary_digest() != options_.binary_digest) {
    return absl::FailedPreconditionError("this is another binary than the job driver's");
  }
  ASSIGN_OR_RETURN(const ReceiverGraph built, options_.build(init));
  *fingerprint = built.graph->Fingerprint();
  if (*fingerprint != init.graph_fingerprint()) {
    return absl::FailedPreconditionError(
        "the build function has made another graph here than in the job driver: what differs from "
        "process to process has to come from Constant()");
  }
  ReceiverHostOptions host;
  host.job_instance = options_.job_instance;
  host.daemon = options_.worker;
  host.block_interval_us = built.block_interval_us;
  host.max_rate = built.max_rate;
  host.initial_rate = built.initial_rate;
  host.report = options_.report;
  for (size_t i = 0; i < options_.streams.size() && i < options_.incarnations.size(); ++i) {
    if (options_.streams[i] >= built.graph->nodes().size()) {
      return absl::InternalError("a receiver was asked for that the graph does not have");
    }
    const SourceSpec& source = built.graph->node(options_.streams[i]).source;
    host.streams.push_back({options_.streams[i], source.stream, options_.incarnations[i],
                            source.kind == SourceKind::kReceiver ? source.receiver : nullptr});
  }
  std::shared_ptr<ReceiverHost> made =
      std::make_shared<ReceiverHost>(std::move(host), std::move(pool_), transport_, loop_);
  std::lock_guard lock(mutex_);
  if (stopping_) return absl::CancelledError("stopping");
  host_ = std::move(made);
  SendAttach(*host_);
  host_->Start();
  if (push_ != nullptr) push_->Serve(host_.get());
  return absl::OkStatus();
}

void ReceiverNode::Stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  loop_->Cancel(timer_);
  loop_->Sync();
  if (builder_.joinable()) builder_.join();
  std::shared_ptr<ReceiverHost> host;
  {
    std::lock_guard lock(mutex_);
    host = host_;
  }
  if (host == nullptr) return;
  host->Stop();
  if (push_ != nullptr) push_->Stop();
  host->AwaitSealed(kLastSealsMs);
}

}  // namespace sluice
