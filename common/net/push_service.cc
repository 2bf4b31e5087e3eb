#include "common/net/push_service.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "common/exit_code.h"
#include "common/record_batch.h"
#include "proto/client.grpc.pb.h"

namespace sluice {
namespace {

using Stream = grpc::ServerReaderWriter<proto::PushReply, proto::PushRequest>;

proto::PushReply Refusal(const std::string& why, int exit_code = kExitFailed) {
  proto::PushReply reply;
  reply.mutable_refused()->set_exit_code(exit_code);
  reply.mutable_refused()->set_message(why);
  return reply;
}

uint64_t BytesOf(const proto::PushRequest& request) { return request.ByteSizeLong(); }

}  // namespace

class PushService::Impl : public proto::Push::Service {
 public:
  grpc::Status Push(grpc::ServerContext* context, Stream* stream) override;

  std::mutex mutex_;
  std::condition_variable changed_;  // room, or a call that ended
  PushBackend* host_ = nullptr;
  bool stopping_ = false;
  uint64_t bytes_ = 0;  // in flight, of all calls
  std::set<grpc::ServerContext*> calls_;

 private:
  class Call;
};

// One producer's call. The calling thread reads; another writes.
class PushService::Impl::Call {
 public:
  Call(Impl* service, PushBackend* host, Stream* stream, grpc::ServerContext* context)
      : service_(service), host_(host), stream_(stream), context_(context) {}

  void Run() {
    proto::PushRequest request;
    if (!stream_->Read(&request)) return;
    const auto id = host_->PushStream(request.stream());
    if (!id.has_value()) {
      stream_->Write(Refusal("no such stream here: " + request.stream()));
      return;
    }
    if (request.producer().empty()) {
      stream_->Write(Refusal("a producer needs a name"));
      return;
    }
    if (request.producer().size() > kProducerBytesMax) {
      stream_->Write(Refusal("the name of a producer is longer than 256 bytes", kExitUsage));
      return;
    }
    stream_id_ = *id;
    producer_ = request.producer();
    const auto last = LastLogged();
    if (!last.ok()) {
      const bool refused = last.status().code() == absl::StatusCode::kResourceExhausted;
      if (refused) stream_->Write(Refusal(std::string(last.status().message()), kExitRefused));
      return;
    }
    acknowledged_ = *last;
    proto::PushReply first;
    first.set_last(*last);
    if (!stream_->Write(first)) return;
    std::thread writer([this] { Write(); });
    do {
      if (request.records_size() > 0 && !Submit(std::move(request))) break;
    } while (stream_->Read(&request));
    {
      std::lock_guard lock(mutex_);
      reading_ = false;
      failed_ = failed_ || context_->IsCancelled();
      changed_.notify_all();
    }
    writer.join();
    Abandon();
  }

 private:
  struct Pending {
    RecordBatch records;
    uint64_t id = 0;
    uint64_t bytes = 0;
    bool handed_over = false;
    bool done = false;
    std::optional<int64_t> last;
    bool settled() const { return handed_over && done; }
  };

  absl::StatusOr<int64_t> LastLogged() {
    return host_->LastLogged(stream_id_, producer_, [this] { return context_->IsCancelled(); });
  }

  // Waits for room, then hands the records over. False: the call is over.
  bool Submit(proto::PushRequest request) {
    auto pending = std::make_unique<Pending>();
    pending->bytes = BytesOf(request);
    if (!AwaitRoom(pending->bytes)) return false;
    for (const std::string& record : request.records()) pending->records.Append(record);
    Pending* raw = pending.get();
    {
      std::unique_lock lock(mutex_);
      if (failed_) {
        lock.unlock();
        Release(raw->bytes);
        return false;
      }
      call_bytes_ += raw->bytes;
      pending_.push_back(std::move(pending));
    }
    const uint64_t id =
        host_->StoreLater(stream_id_, raw->records.view(), producer_, request.first(),
                          [this, raw](std::optional<int64_t> last) {
                            std::lock_guard lock(mutex_);
                            raw->done = true;
                            raw->last = last;
                            changed_.notify_all();
                          });
    std::lock_guard lock(mutex_);
    raw->id = id;
    raw->handed_over = true;
    changed_.notify_all();
    return true;
  }

  bool AwaitRoom(uint64_t bytes) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] {
        return failed_ || call_bytes_ == 0 || call_bytes_ + bytes <= kCallBytesMax;
      });
      if (failed_) return false;
    }
    std::unique_lock lock(service_->mutex_);
    service_->changed_.wait(lock, [&] {
      return service_->stopping_ || context_->IsCancelled() || service_->bytes_ == 0 ||
             service_->bytes_ + bytes <= kTotalBytesMax;
    });
    if (service_->stopping_) return false;
    service_->bytes_ += bytes;
    return true;
  }

  // Writes acknowledgements until the reader is done and nothing is left, or a store failed.
  void Write() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] {
        return failed_ || (pending_.empty() ? !reading_ : pending_.front()->settled());
      });
      if (failed_ || pending_.empty()) break;
      uint64_t bytes = 0;
      bool failed = false;
      while (!pending_.empty() && pending_.front()->settled() && !failed) {
        failed = !pending_.front()->last.has_value();
        acknowledged_ = std::max(acknowledged_, pending_.front()->last.value_or(0));
        bytes += pending_.front()->bytes;
        pending_.pop_front();
      }
      call_bytes_ -= bytes;
      changed_.notify_all();
      proto::PushReply reply;
      reply.set_last(acknowledged_);
      lock.unlock();
      if (failed) *reply.mutable_refused() = NotStored().refused();
      Release(bytes);
      const bool written = stream_->Write(reply);
      lock.lock();
      if (failed || !written) break;
    }
    failed_ = true;
    changed_.notify_all();
  }

  proto::PushReply NotStored() {
    if (host_->Stopping()) {  // only this receiver is at its end: the producer goes to the next
      return Refusal("this receiver ends; send again what follows the last number",
                     kExitUnreachable);
    }
    const auto last = LastLogged();
    if (last.ok() && *last < acknowledged_) {
      return Refusal("the job has forgotten this producer, which was quiet for long: what it has "
                     "not acknowledged needs a new one", kExitRefused);
    }
    return Refusal("records could not be stored; send again what follows the last number");
  }

  void Release(uint64_t bytes) {
    std::lock_guard lock(service_->mutex_);
    service_->bytes_ -= bytes;
    service_->changed_.notify_all();
  }

  // Nobody waits for the rest any more.
  void Abandon() {
    std::deque<std::unique_ptr<Pending>> rest;
    {
      std::lock_guard lock(mutex_);
      rest.swap(pending_);
    }
    uint64_t bytes = 0;
    for (const auto& pending : rest) {
      host_->Cancel(stream_id_, pending->id);
      bytes += pending->bytes;
    }
    Release(bytes);
  }

  Impl* const service_;
  PushBackend* const host_;
  Stream* const stream_;
  grpc::ServerContext* const context_;
  uint32_t stream_id_ = 0;
  std::string producer_;
  std::mutex mutex_;  // taken after the host's and never before the service's
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Pending>> pending_;
  uint64_t call_bytes_ = 0;
  int64_t acknowledged_ = 0;
  bool reading_ = true;
  bool failed_ = false;
};

grpc::Status PushService::Impl::Push(grpc::ServerContext* context, Stream* stream) {
  PushBackend* host;
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || host_ == nullptr) {
      return {grpc::StatusCode::UNAVAILABLE, "the receiver is not ready; try again"};
    }
    host = host_;
    calls_.insert(context);
  }
  Call(this, host, stream, context).Run();
  std::lock_guard lock(mutex_);
  calls_.erase(context);
  changed_.notify_all();
  return stopping_ ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "the receiver ends")
                   : grpc::Status::OK;
}

PushService::PushService() : impl_(std::make_unique<Impl>()) {}
PushService::~PushService() = default;
grpc::Service* PushService::service() { return impl_.get(); }

void PushService::Serve(PushBackend* host) {
  std::lock_guard lock(impl_->mutex_);
  impl_->host_ = host;
}

void PushService::Stop() {
  std::unique_lock lock(impl_->mutex_);
  impl_->stopping_ = true;
  impl_->changed_.notify_all();
  for (grpc::ServerContext* call : impl_->calls_) call->TryCancel();
  impl_->changed_.wait(lock, [this] { return impl_->calls_.empty(); });
  impl_->host_ = nullptr;
}

}  // namespace sluice
