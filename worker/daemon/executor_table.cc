#include "worker/daemon/executor_table.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr int kExitRepeats = 8;
constexpr int64_t kExitRepeatUs = 300'000;
constexpr int64_t kStartGraceUs = 30'000'000;  // from start to the first message
constexpr int64_t kEndGraceUs = 2'000'000;     // from SIGTERM to SIGKILL
constexpr size_t kExitedMax = 1024;

ExecutorKey KeyOf(const proto::StartExecutor& request) {
  return {request.job_instance(), request.epoch(), request.executor()};
}

}  // namespace

int64_t ExecutorTable::LeaseUs(uint64_t job_instance) const {
  auto job = jobs_.find(job_instance);
  return job == jobs_.end() ? 5'000'000 : job->second.lease_us;
}

void ExecutorTable::OnStart(MonotonicTime now, const proto::StartExecutor& request,
                            const std::string& refusal, worker::Commands& out) {
  const ExecutorKey key = KeyOf(request);
  const uint64_t meant = request.worker_incarnation();
  if (meant != 0 && meant != config_.incarnation) return;  // late: a former daemon at this address
  auto job = jobs_.find(key.job_instance);
  if (job == jobs_.end() || key.epoch != job->second.epoch || executors_.contains(key)) return;
  if (auto exited = exited_.find(key); exited != exited_.end()) {  // asked again meanwhile
    SendExited(exited->second, out);
    return;
  }
  Executor& executor = executors_[key];
  executor.request = request;
  executor.heard = now;
  if (!refusal.empty()) {
    CouldNotStart(now, key, refusal, false, out);
  } else if (auto why = refused_.find(request.binary_digest()); why != refused_.end()) {
    CouldNotStart(now, key, why->second, true, out);
  } else if (!config_.starts_processes) {
    executor.state = Executor::State::kStarting;
    out.push_back(worker::StartProcess{request, ""});
  } else if (auto binary = binaries_.find(request.binary_digest()); binary != binaries_.end()) {
    executor.state = Executor::State::kStarting;
    out.push_back(worker::StartProcess{request, binary->second});
  } else if (fetching_.insert(request.binary_digest()).second) {
    out.push_back(worker::FetchBinary{request.binary_digest()});
  }
}

void ExecutorTable::OnBinary(MonotonicTime now, const worker::BinaryReady& event,
                             worker::Commands& out) {
  fetching_.erase(event.digest);
  if (event.error.empty()) binaries_[event.digest] = event.path;
  if (event.refused) refused_[event.digest] = event.error;
  std::vector<ExecutorKey> waiting;
  for (const auto& [key, executor] : executors_) {
    if (executor.state == Executor::State::kFetching &&
        executor.request.binary_digest() == event.digest) {
      waiting.push_back(key);
    }
  }
  for (const ExecutorKey& key : waiting) {
    if (!event.error.empty()) {
      CouldNotStart(now, key, event.error, event.refused, out);
      continue;
    }
    Executor& executor = executors_.at(key);
    executor.state = Executor::State::kStarting;
    executor.heard = now;
    out.push_back(worker::StartProcess{executor.request, event.path});
  }
}

void ExecutorTable::OnBinariesNeeded(std::set<std::string> digests, worker::Commands& out) {
  digests.insert(fetching_.begin(), fetching_.end());
  for (const auto& [key, executor] : executors_) {
    digests.insert(executor.request.binary_digest());
    for (const auto& file : executor.request.files()) digests.insert(file.digest());
  }
  std::erase_if(binaries_, [&](const auto& entry) { return !digests.contains(entry.first); });
  std::erase_if(refused_, [&](const auto& entry) { return !digests.contains(entry.first); });
  out.push_back(worker::KeepBinaries{std::move(digests)});
}

void ExecutorTable::OnProcessStarted(MonotonicTime now, const worker::ProcessStarted& event,
                                     worker::Commands& out) {
  auto found = executors_.find(event.executor);
  if (found == executors_.end()) return;
  if (!event.error.empty()) {
    binaries_.erase(found->second.request.binary_digest());  // it may be damaged: fetch it anew
    CouldNotStart(now, event.executor, event.error, false, out);
    return;
  }
  found->second.pid = event.pid;
  found->second.heard = now;
  if (found->second.state == Executor::State::kEnding) {  // stopped while it was started
    out.push_back(worker::EndProcess{event.executor, true});
  }
}

void ExecutorTable::OnAttach(MonotonicTime now, const std::string& from,
                             const proto::ExecutorAttach& message) {
  const ExecutorKey key{message.job_instance(), message.epoch(), message.executor()};
  auto found = executors_.find(key);
  if (found == executors_.end()) return;
  Executor& executor = found->second;
  executor.address = message.link_address().empty() ? from : message.link_address();
  executor.push_address = message.push_address();
  executor.taken.assign(message.taken().begin(), message.taken().end());
  if (executor.pid == 0) executor.pid = message.pid();
  executor.heard = now;
  if (executor.state == Executor::State::kStarting) executor.state = Executor::State::kRunning;
  by_address_[executor.address] = key;
  by_address_[from] = key;
}

void ExecutorTable::OnHeardFrom(MonotonicTime now, const std::string& address) {
  auto found = by_address_.find(address);
  if (found == by_address_.end()) return;
  if (auto executor = executors_.find(found->second); executor != executors_.end()) {
    executor->second.heard = now;
  }
}

void ExecutorTable::CouldNotStart(MonotonicTime now, const ExecutorKey& key,
                                  const std::string& cause, bool refused,
                                  worker::Commands& out) {
  proto::ExecutorExited message;
  message.set_job_instance(key.job_instance);
  message.set_epoch(key.epoch);
  message.set_executor(key.executor);
  message.set_cause(cause);
  message.set_refused(refused);
  TellExited(now, std::move(message), out);
  executors_.erase(key);
  out.push_back(worker::ForgetExecutor{key});
}

void ExecutorTable::OnReaped(MonotonicTime now, const worker::ProcessReaped& event,
                             worker::Commands& out) {
  auto found = executors_.find(event.executor);
  if (found == executors_.end()) return;
  const Executor& executor = found->second;
  proto::ExecutorExited message;
  message.set_job_instance(event.executor.job_instance);
  message.set_epoch(event.executor.epoch);
  message.set_executor(event.executor.executor);
  const bool ended_here = !executor.end_cause.empty();
  message.set_cause(ended_here ? executor.end_cause : event.cause);
  message.set_own_fault(event.own_fault && !ended_here);
  message.set_by_itself(ended_here ? executor.hung : event.by_itself);
  for (const auto& task : event.tasks) *message.add_tasks() = task;
  TellExited(now, std::move(message), out);
  std::erase_if(by_address_, [&](const auto& entry) { return entry.second == event.executor; });
  executors_.erase(found);
}

void ExecutorTable::TellExited(MonotonicTime now, proto::ExecutorExited message,
                               worker::Commands& out) {
  const ExecutorKey key{message.job_instance(), message.epoch(), message.executor()};
  const Executor* executor = Find(key);
  if (executor != nullptr && executor->unlisted) return;
  if (exited_.size() >= kExitedMax) exited_.erase(exited_.begin());
  Exited& exited = exited_[key];
  exited.message = std::move(message);
  exited.left = kExitRepeats;
  exited.next = now + kExitRepeatUs;
  SendExited(exited, out);
}

void ExecutorTable::SendExited(const Exited& exited, worker::Commands& out) const {
  auto job = jobs_.find(exited.message.job_instance());
  if (job == jobs_.end() || job->second.driver.empty()) return;
  Send send{job->second.driver, {}};
  *send.message.mutable_executor_exited() = exited.message;
  out.push_back(std::move(send));
}

void ExecutorTable::Stop(MonotonicTime now, const ExecutorKey& key, const std::string& cause,
                         bool at_once, worker::Commands& out) {
  auto found = executors_.find(key);
  if (found == executors_.end()) return;
  Executor& executor = found->second;
  if (executor.state == Executor::State::kFetching) {
    CouldNotStart(now, key, cause, false, out);
    return;
  }
  if (executor.state == Executor::State::kEnding && !at_once) return;
  executor.state = Executor::State::kEnding;
  if (executor.end_cause.empty()) executor.end_cause = cause;
  if (at_once) return Kill(now, key, executor, out);
  executor.kill_at = now + kEndGraceUs;
  out.push_back(worker::EndProcess{key, false});
}

void ExecutorTable::Kill(MonotonicTime now, const ExecutorKey& key, Executor& executor,
                         worker::Commands& out) {
  executor.kill_at = now + kEndGraceUs;
  if (executor.killed == 0) executor.killed = now;
  out.push_back(worker::EndProcess{key, true});
  const int64_t patience = std::max(LeaseUs(key.job_instance), kEndGraceUs);
  if (executor.given_up || executor.receives() || now - executor.killed < patience) return;
  executor.given_up = true;
  proto::ExecutorExited message;
  message.set_job_instance(key.job_instance);
  message.set_epoch(key.epoch);
  message.set_executor(key.executor);
  message.set_cause(executor.end_cause + "; SIGKILL does not end it, as where a disk hangs");
  TellExited(now, std::move(message), out);
}

void ExecutorTable::StopOldTasks(MonotonicTime now, uint64_t job_instance, uint64_t epoch,
                                 worker::Commands& out) {
  ForgetExits(job_instance);
  std::vector<ExecutorKey> old;
  for (auto& [key, executor] : executors_) {
    if (key.job_instance != job_instance || key.epoch >= epoch) continue;
    const bool goes_on = executor.receives() && executor.attached();
    executor.unlisted |= !goes_on || executor.state == Executor::State::kEnding;
    if (!goes_on) old.push_back(key);
  }
  for (const ExecutorKey& key : old) Stop(now, key, "its epoch is over", true, out);
}

void ExecutorTable::StopJob(MonotonicTime now, uint64_t job_instance, const std::string& cause,
                            worker::Commands& out) {
  std::vector<ExecutorKey> keys;
  for (const auto& [key, executor] : executors_) {
    if (key.job_instance == job_instance) keys.push_back(key);
  }
  for (const ExecutorKey& key : keys) Stop(now, key, cause, !Find(key)->receives(), out);
}

void ExecutorTable::StopAll(MonotonicTime now, std::optional<uint64_t> job_instance,
                            const std::string& cause, bool at_once, worker::Commands& out) {
  std::vector<ExecutorKey> keys;
  for (const auto& [key, executor] : executors_) {
    if (!job_instance.has_value() || key.job_instance == *job_instance) keys.push_back(key);
  }
  for (const ExecutorKey& key : keys) Stop(now, key, cause, at_once, out);
}

void ExecutorTable::ForgetExits(uint64_t job_instance) {
  std::erase_if(exited_, [&](const auto& e) { return e.first.job_instance == job_instance; });
}

void ExecutorTable::Tick(MonotonicTime now, worker::Commands& out) {
  for (auto& [key, executor] : executors_) {
    using State = Executor::State;
    const int64_t lease = LeaseUs(key.job_instance);
    const bool silent = executor.state == State::kRunning && now - executor.heard > lease;
    // Until there is a process its files are fetched and copied, however large they are.
    const bool made = executor.pid != 0 || !config_.starts_processes;
    const bool never_came = executor.state == State::kStarting && made &&
                            now - executor.heard > std::max(lease, kStartGraceUs);
    if (silent || never_came) {
      executor.state = State::kEnding;
      executor.end_cause = silent ? "silent for a lease" : "did not attach after its start";
      executor.hung = !silent;
      Kill(now, key, executor, out);
    } else if (executor.state == State::kEnding && now >= executor.kill_at) {
      Kill(now, key, executor, out);
    }
  }
  for (auto& [key, exited] : exited_) {
    if (exited.left == 0 || now < exited.next) continue;
    --exited.left;
    exited.next = now + kExitRepeatUs;
    SendExited(exited, out);
  }
}

void ExecutorTable::RenewAll(MonotonicTime now) {
  for (auto& [key, executor] : executors_) executor.heard = now;
}

const ExecutorTable::Executor* ExecutorTable::Find(const ExecutorKey& key) const {
  auto found = executors_.find(key);
  return found == executors_.end() ? nullptr : &found->second;
}

std::optional<ExecutorKey> ExecutorTable::FindAdopted(const ExecutorKey& key) const {
  if (executors_.contains(key)) return key;
  for (const auto& [other, executor] : executors_) {
    if (other.job_instance == key.job_instance && other.executor == key.executor &&
        executor.receives()) {
      return other;
    }
  }
  return std::nullopt;
}

std::optional<ExecutorKey> ExecutorTable::At(const std::string& address) const {
  auto found = by_address_.find(address);
  if (found == by_address_.end()) return std::nullopt;
  return found->second;
}

std::vector<ExecutorKey> ExecutorTable::Receivers(uint64_t job_instance) const {
  std::vector<ExecutorKey> keys;
  for (const auto& [key, executor] : executors_) {
    if (key.job_instance == job_instance && executor.receives() && executor.attached()) {
      keys.push_back(key);
    }
  }
  return keys;
}

void ExecutorTable::AppendStatus(proto::WorkerHeartbeat* beat) const {
  for (const auto& [key, executor] : executors_) {
    if (executor.pid == 0) continue;  // whoever kills what is listed would kill its own group
    auto* status = beat->add_executors();
    status->set_job(executor.request.job());
    status->set_role(executor.request.role());
    status->set_pid(executor.pid);
    status->set_executor(key.executor);
    status->set_job_instance(key.job_instance);
  }
}

void ExecutorTable::AppendTaken(uint64_t job_instance, proto::LeaseBeat* beat) const {
  for (const auto& [key, executor] : executors_) {
    if (key.job_instance != job_instance || !executor.receives() || !executor.attached()) continue;
    const auto& request = executor.request;
    for (int i = 0; i < request.streams_size() && i < request.incarnations_size(); ++i) {
      proto::ReceiverTaken& receiver = *beat->add_taken();
      receiver.set_stream(request.streams(i));
      receiver.set_incarnation(request.incarnations(i));
      for (const proto::ReceiverTaken& taken : executor.taken) {
        if (taken.incarnation() == receiver.incarnation() && taken.stream() == receiver.stream()) {
          receiver.set_records(taken.records());
        }
      }
    }
  }
}

}  // namespace sluice
