#include "worker/receiver/receiver_host.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <stdexcept>

namespace sluice {
namespace {

constexpr int64_t kBackoffFirstMs = 100;
constexpr int64_t kBackoffMaxMs = 10'000;
constexpr int64_t kReportPauseUs = 100'000;
constexpr auto kLookForAsker = std::chrono::milliseconds(100);
constexpr size_t kReportBytesMax = 4096;

ReceiverCore::Options CoreOptions(const ReceiverHostOptions& options) {
  ReceiverCore::Options core;
  core.job_instance = options.job_instance;
  core.daemon = options.daemon;
  core.block_interval_us = options.block_interval_us;
  core.max_rate = options.max_rate;
  core.initial_rate = options.initial_rate;
  for (const ReceiverStream& stream : options.streams) {
    core.streams.push_back({stream.id, stream.incarnation});
  }
  return core;
}

std::string Dropped(uint64_t bytes) {
  return "a record of " + std::to_string(bytes) + " bytes is longer than 64 MiB and was dropped";
}

// "Send it again" would be the answer for ever.
void RequireSizes(const BatchView& records, int64_t first) {
  if (records.size <= kRecordBytesMax) return;
  for (uint32_t i = 0; i < records.count; ++i) {
    const uint64_t bytes = records.record(i).size();
    if (bytes <= kRecordBytesMax) continue;
    throw std::length_error("record " + std::to_string(first + i) + ", of " +
                            std::to_string(bytes) + " bytes, is longer than 64 MiB");
  }
}

}  // namespace

class ReceiverHost::Sink : public ReceiverSink {
 public:
  Sink(ReceiverHost* host, const ReceiverStream& stream) : host_(host), stream_(stream) {}
  bool Store(std::string_view record) override { return host_->Store(stream_, record); }
  bool StoreBlock(const BatchView& records) override {
    return host_->StoreBlock(stream_, records);
  }
  std::optional<int64_t> StoreReliably(EncodedBatch records, std::string_view producer,
                                       int64_t first) override {
    return host_->StoreReliably(stream_.id, std::move(records), producer, first);
  }
  std::optional<int64_t> LastLogged(std::string_view producer) override {
    const auto last = host_->LastLogged(stream_.id, std::string(producer), [] { return false; });
    return last.ok() ? std::optional<int64_t>(*last) : std::nullopt;
  }
  bool stopping() const override {
    std::lock_guard lock(host_->mutex_);
    return host_->stopping_;
  }
  bool WaitStopping(int64_t milliseconds) override { return host_->WaitStopping(milliseconds); }
  void ReportError(std::string_view message) override {
    host_->Report(stream_, message);
  }

 private:
  ReceiverHost* const host_;
  const ReceiverStream& stream_;
};

ReceiverHost::ReceiverHost(ReceiverHostOptions options, std::unique_ptr<BufferPool> pool,
                           Transport* transport, EventLoop* loop)
    : options_(std::move(options)),
      pool_(std::move(pool)),
      transport_(transport),
      loop_(loop),
      core_(CoreOptions(options_), pool_.get()) {}

ReceiverHost::~ReceiverHost() { Stop(); }

void ReceiverHost::Start() {
  loop_->PostNow([this] { Tick(); });
  for (const ReceiverStream& stream : options_.streams) {
    if (stream.factory != nullptr) threads_.emplace_back([this, &stream] { RunBody(stream); });
  }
}

void ReceiverHost::RunBody(const ReceiverStream& stream) {
  Sink sink(this, stream);
  int64_t backoff_ms = kBackoffFirstMs;
  while (!sink.stopping()) {
    const MonotonicTime began = loop_->clock().MonotonicUs();
    std::string cause = "it returned";
    try {
      stream.factory->New()->Run(sink);
    } catch (const std::exception& error) {
      cause = error.what();
    } catch (...) {
      cause = "it threw something that is no exception";
    }
    if (sink.stopping()) return;
    if (loop_->clock().MonotonicUs() - began > kBackoffMaxMs * 1000) backoff_ms = kBackoffFirstMs;
    sink.ReportError("stopped (" + cause + "), runs again in " + std::to_string(backoff_ms) +
                     " ms");
    if (WaitStopping(backoff_ms)) return;
    backoff_ms = std::min(backoff_ms * 2, kBackoffMaxMs);
  }
}

void ReceiverHost::Tick() {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  Step(receiver::Tick{});
  timer_ = loop_->RunAfter(kTickUs, [this] { Tick(); });
}

void ReceiverHost::OnMessage(const proto::Envelope& message) {
  std::lock_guard lock(mutex_);
  Step(receiver::Received{message});
}

void ReceiverHost::Step(const receiver::Event& event) {
  receiver::Commands commands = core_.Step(loop_->clock().MonotonicUs(), event);
  Do(commands);
}

void ReceiverHost::Do(receiver::Commands& commands) {
  bool wake = false;
  for (receiver::Command& command : commands) {
    if (auto* send = std::get_if<Send>(&command)) {
      transport_->Send(send->to, std::move(send->message));
      continue;
    }
    if (auto* say = std::get_if<receiver::Say>(&command)) options_.report(say->line);
    std::optional<int64_t> last;
    uint64_t id = 0;
    if (auto* completed = std::get_if<receiver::Completed>(&command)) {
      id = completed->id;
      last = completed->last;
    } else if (auto* answered = std::get_if<receiver::Answered>(&command)) {
      const auto asking = asking_.find(answered->id);
      if (asking != asking_.end()) asking->second = std::move(*answered);
    }
    if (auto found = waiting_.find(id); found != waiting_.end()) {
      const Done done = std::move(found->second);
      waiting_.erase(found);
      done(last);
    }
    wake = true;
  }
  if (wake) changed_.notify_all();
}

void ReceiverHost::Report(const ReceiverStream& stream, std::string_view message) {
  options_.report("receiver " + stream.name + ": " + std::string(message));
  const std::lock_guard lock(mutex_);
  // For listeners; all of them are in the log.
  const MonotonicTime now = loop_->clock().MonotonicUs();
  const auto [reported, first] = reported_.try_emplace(stream.id, now);
  if (!first && now - reported->second < kReportPauseUs) return;
  reported->second = now;
  proto::Envelope envelope;
  auto& error = *envelope.mutable_receiver_error();
  error.set_job_instance(options_.job_instance);
  error.set_stream(stream.id);
  error.set_incarnation(stream.incarnation);
  error.set_text(std::string(message.substr(0, kReportBytesMax)));
  transport_->Send(options_.daemon, std::move(envelope));
}

bool ReceiverHost::AwaitRate(std::unique_lock<std::mutex>& lock, uint32_t stream) {
  while (!stopping_) {
    if (!core_.paced()) return true;
    const MonotonicTime now = loop_->clock().MonotonicUs();
    const MonotonicTime next = core_.NextStoreUs(now, stream);
    if (next <= now) return true;
    changed_.wait_for(lock, std::chrono::microseconds(next - now));
  }
  return false;
}

bool ReceiverHost::Store(const ReceiverStream& stream, std::string_view record) {
  std::unique_lock lock(mutex_);
  if (!AwaitRate(lock, stream.id)) return false;
  while (!stopping_) {
    receiver::Commands commands;
    const auto stored = core_.Store(loop_->clock().MonotonicUs(), stream.id, record, commands);
    if (!commands.empty()) Do(commands);
    if (stored == ReceiverCore::Stored::kYes) return true;
    if (stored == ReceiverCore::Stored::kTooLarge) {
      lock.unlock();
      Report(stream, Dropped(record.size()));
      return true;
    }
    changed_.wait(lock);
  }
  return false;
}

bool ReceiverHost::StoreBlock(const ReceiverStream& stream, const BatchView& records) {
  std::unique_lock lock(mutex_);
  if (!AwaitRate(lock, stream.id)) return false;
  for (uint32_t from = 0; from < records.count && !stopping_;) {
    receiver::Commands commands;
    const auto stored =
        core_.StoreBlock(loop_->clock().MonotonicUs(), stream.id, records, from, commands);
    if (!commands.empty()) Do(commands);
    if (stored == ReceiverCore::Stored::kNoRoom) changed_.wait(lock);
    if (stored != ReceiverCore::Stored::kTooLarge) continue;
    lock.unlock();
    Report(stream, Dropped(records.record(from++).size()));
    lock.lock();
  }
  return !stopping_;
}

bool ReceiverHost::Stopping() {
  std::lock_guard lock(mutex_);
  return stopping_;
}

uint64_t ReceiverHost::StoreLater(uint32_t stream, const BatchView& records,
                                  const std::string& producer, int64_t first, Done done) {
  return Request({0, stream, records, producer, first}, std::move(done));
}

uint64_t ReceiverHost::Request(receiver::StoreRequest request, Done done) {
  std::lock_guard lock(mutex_);
  const uint64_t id = next_id_++;
  if (stopping_) {
    done(std::nullopt);
    return id;
  }
  waiting_[id] = std::move(done);
  request.id = id;
  Step(std::move(request));
  return id;
}

void ReceiverHost::Cancel(uint32_t stream, uint64_t id) {
  std::lock_guard lock(mutex_);
  waiting_.erase(id);
  Step(receiver::Cancel{id, stream});
}

std::optional<int64_t> ReceiverHost::StoreReliably(uint32_t stream, EncodedBatch records,
                                                   std::string_view producer, int64_t first) {
  RequireSizes(records.view(), first);
  std::optional<int64_t> last;
  bool completed = false;  // under mutex_
  const uint64_t id =
      Request({0, stream, records.view(), std::string(producer), first, &records},
              [&](std::optional<int64_t> l) {
                last = l;
                completed = true;
              });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return completed || stopping_; });
  if (completed) return last;
  waiting_.erase(id);
  Step(receiver::Cancel{id, stream});
  return std::nullopt;
}

absl::StatusOr<int64_t> ReceiverHost::LastLogged(uint32_t stream, const std::string& producer,
                                                 const std::function<bool()>& gone) {
  std::unique_lock lock(mutex_);
  const uint64_t id = next_id_++;
  const auto asking = asking_.try_emplace(id).first;
  Step(receiver::Ask{id, stream, producer});
  const auto over = [&] { return asking->second.has_value() || stopping_; };
  while (!changed_.wait_for(lock, kLookForAsker, over) && !gone()) {
  }
  const std::optional<receiver::Answered> answer = std::move(asking->second);
  asking_.erase(asking);
  if (!answer.has_value()) return absl::UnavailableError("the receiver ends");
  if (!answer->refused.empty()) return absl::ResourceExhaustedError(answer->refused);
  return answer->last;
}

bool ReceiverHost::WaitStopping(int64_t milliseconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(milliseconds),
                           [this] { return stopping_; });
}

std::optional<uint32_t> ReceiverHost::PushStream(const std::string& name) const {
  for (const ReceiverStream& stream : options_.streams) {
    if (stream.name == name && stream.factory == nullptr) return stream.id;
  }
  return std::nullopt;
}

void ReceiverHost::Stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    Step(receiver::SealAll{});
    // Whoever waits may free its records when it hears that they were not stored.
    for (const auto& [id, done] : waiting_) {
      for (const ReceiverStream& stream : options_.streams) Step(receiver::Cancel{id, stream.id});
    }
    for (auto& [id, done] : std::exchange(waiting_, {})) done(std::nullopt);
    changed_.notify_all();
  }
  // A timer that was about to run sees that it is too late.
  loop_->Cancel(timer_);
  loop_->Sync();
}

std::vector<proto::ReceiverTaken> ReceiverHost::Taken() const {
  std::lock_guard lock(mutex_);
  return core_.taken();
}

bool ReceiverHost::AwaitSealed(int64_t milliseconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(milliseconds),
                           [this] { return core_.sealed(); });
}

}  // namespace sluice
