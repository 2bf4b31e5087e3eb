#include "sluice/cli/push_client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "common/exit_code.h"
#include "common/net/credentials.h"
#include "common/status.h"
#include "proto/client.grpc.pb.h"
#include "sluice/cli/line_reader.h"

namespace sluice::cli {
namespace {

using Stream = grpc::ClientReaderWriter<proto::PushRequest, proto::PushReply>;

constexpr auto kRetryAfter = std::chrono::milliseconds(100);
constexpr auto kConnectFor = std::chrono::seconds(2);
constexpr int kLingerMs = 20;  // how long a batch that is not full waits for more input

// What makes no sense to try again.
absl::Status Final(const proto::Outcome& refused) {
  switch (refused.exit_code()) {
    case kExitFailed: return absl::NotFoundError(refused.message());
    case kExitUsage: return absl::InvalidArgumentError(refused.message());
    case kExitRefused: return absl::FailedPreconditionError(refused.message());
    case kExitDenied: return absl::PermissionDeniedError(refused.message());
    default: return absl::OkStatus();
  }
}

absl::Status Final(const grpc::Status& status) {
  bool denied = status.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
                status.error_code() == grpc::StatusCode::PERMISSION_DENIED;
  return denied ? absl::PermissionDeniedError(status.error_message()) : absl::OkStatus();
}

// One connection to one receiver. Three threads: the caller's writes, of its own one reads, and one
// looks for a successor of a receiver that is silent.
class Session {
 public:
  Session(const std::string& address, const PushOptions& options, PushWindow* window,
          const FindReceiver& find)
      : address_(address),
        ask_after_(options.ask_after),
        find_(find),
        window_(window),
        channel_(MakeChannel(address, options.security, options.job)) {
    Authorize(context_, address, options.security, options.job);
    hello_.set_stream(options.stream);
    hello_.set_producer(options.producer);
  }

  // Until all is acknowledged, the connection broke or the receiver has a successor (all OK), or it
  // makes no sense to go on.
  absl::Status Run(LineReader* input) {
    if (!channel_->WaitForConnected(std::chrono::system_clock::now() + kConnectFor)) {
      return absl::OkStatus();
    }
    std::thread watcher([this] { Watch(); });
    const absl::Status status = Talk(input);
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
      changed_.notify_all();
    }
    watcher.join();
    return not_found_.ok() ? status : not_found_;
  }

 private:
  absl::Status Talk(LineReader* input) {
    auto stub = proto::Push::NewStub(channel_);
    stream_ = stub->Push(&context_);
    proto::PushReply first;
    if (stream_->Write(hello_) && stream_->Read(&first)) {
      absl::Status refused = Final(first.refused());
      if (!refused.ok()) return context_.TryCancel(), refused;
      refused = Begin(first);
      if (!refused.ok()) return context_.TryCancel(), refused;
      std::thread reader([this] { ReadReplies(); });
      absl::Status status = WriteAll(input);
      if (!Over()) context_.TryCancel();  // else its own end would not be seen
      reader.join();
      const grpc::Status ended = stream_->Finish();
      if (ended.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) return TooLarge(ended);
      return status.ok() ? refused_ : status;
    }
    return Final(stream_->Finish());
  }

  absl::Status Begin(const proto::PushReply& first) {
    std::lock_guard lock(mutex_);
    ++replies_;
    if (first.last() < window_->acknowledged()) {
      return absl::FailedPreconditionError(
          "the job has forgotten producer " + hello_.producer() + " (push_producer_expiry), or was "
          "begun anew: it had acknowledged " + std::to_string(window_->acknowledged()) +
          " records; those behind them need a new --producer");
    }
    window_->Acknowledged(first.last());
    window_->Rewind();
    return absl::OkStatus();
  }

  // Ends the call to a receiver that has a successor: one whose worker hangs, or is cut off from
  // its job driver, may keep the connection and never answer.
  void Watch() {
    std::unique_lock lock(mutex_);
    while (true) {
      const int64_t heard = replies_;
      if (changed_.wait_for(lock, ask_after_, [this] { return ended_; })) return;
      if (replies_ != heard || !OwesAnswer()) continue;
      lock.unlock();
      const absl::StatusOr<std::string> now = find_();
      lock.lock();
      if (ended_) return;
      if (!OwesAnswer()) continue;  // it came meanwhile, whatever has become of the job
      if (now.ok() && (now->empty() || *now == address_)) continue;
      if (replies_ != heard && now.ok()) continue;
      not_found_ = now.status();
      context_.TryCancel();
      return;
    }
  }

  bool OwesAnswer() const { return replies_ == 0 || window_->acknowledged() < window_->added(); }

  void ReadReplies() {
    proto::PushReply reply;
    bool going = true;
    bool read = false;
    while (going && (read = stream_->Read(&reply))) {
      std::lock_guard lock(mutex_);
      ++replies_;
      window_->Acknowledged(reply.last());
      if (reply.has_refused() && reply.refused().exit_code() != 0) {
        refused_ = Final(reply.refused());
        going = false;
      }
      changed_.notify_all();
    }
    std::lock_guard lock(mutex_);
    broken_ = true;
    over_ = !read;
    changed_.notify_all();
  }

  bool Over() {
    std::lock_guard lock(mutex_);
    return over_;
  }

  absl::Status WriteAll(LineReader* input) {
    while (true) {
      ASSIGN_OR_RETURN(bool fresh, TakeInput(input));
      std::unique_lock lock(mutex_);
      if (window_->Done() || broken_) return absl::OkStatus();
      PushWindow::Batch batch = window_->Next(/*flush=*/!fresh);
      if (!batch.records.empty()) {
        lock.unlock();
        if (!WriteBatch(std::move(batch))) return AwaitEnd();
      } else if (window_->MustWait()) {
        changed_.wait(lock, [this] { return broken_ || window_->Done() || !window_->MustWait(); });
      }
    }
  }

  // The call is over: how it ended comes by its last read.
  absl::Status AwaitEnd() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return broken_; });
    return absl::OkStatus();
  }

  // What the receiver does not take now, it will not take when it is sent again.
  absl::Status TooLarge(const grpc::Status& ended) const {
    const PushWindow::Largest line = window_->LargestWaiting();
    return absl::FailedPreconditionError(
        "the receiver does not take line " + std::to_string(line.number) + ", of " +
        std::to_string(line.bytes) + " bytes: " + ended.error_message());
  }

  // True when a line came; false when none came within the linger.
  absl::StatusOr<bool> TakeInput(LineReader* input) {
    for (int attempt = 0; attempt < 2; ++attempt) {
      {
        std::lock_guard lock(mutex_);
        bool took = false;
        while (!window_->Full()) {
          std::optional<std::string> line = input->Next();
          if (!line) break;
          window_->Add(*std::move(line));
          took = true;
        }
        if (input->ended()) window_->EndOfInput();
        if (took || window_->Full() || window_->ended()) return true;
      }
      if (attempt == 0) {
        ASSIGN_OR_RETURN(bool came, input->Fill(kLingerMs));
        if (!came) return false;
      }
    }
    return false;
  }

  bool WriteBatch(PushWindow::Batch batch) {
    proto::PushRequest request;
    request.set_first(batch.first);
    for (std::string& record : batch.records) request.add_records(std::move(record));
    return stream_->Write(request);
  }

  const std::string address_;
  const std::chrono::milliseconds ask_after_;
  const FindReceiver& find_;
  PushWindow* const window_;
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::ClientContext context_;
  proto::PushRequest hello_;
  std::unique_ptr<Stream> stream_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool broken_ = false;  // nothing more will be acknowledged
  bool over_ = false;    // the call has ended by itself
  bool ended_ = false;   // the session
  int64_t replies_ = 0;
  absl::Status refused_;
  absl::Status not_found_;  // why nobody else is to be looked for either
};

}  // namespace

absl::StatusOr<int64_t> PushLines(int fd, const PushOptions& options, PushWindow* window,
                                  const FindReceiver& find) {
  LineReader input(fd);
  while (!window->Done()) {
    ASSIGN_OR_RETURN(std::string address, find());
    if (!address.empty()) {
      Session session(address, options, window, find);
      RETURN_IF_ERROR(session.Run(&input));
    }
    if (!window->Done()) std::this_thread::sleep_for(kRetryAfter);
  }
  return window->added();
}

}  // namespace sluice::cli
