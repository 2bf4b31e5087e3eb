// What executors begin with. Those that are given up for others: of a job that got more or fewer
// slots on a worker. And those that end by themselves, or say that they cannot work, before they
// are ready, and when that is the job's end.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "checkpoint/output_marker.h"
#include "common/delta_stream.h"
#include "driver/job/membership.h"

namespace sluice {
namespace {

constexpr int64_t kHoldLastUs = 60'000'000;
constexpr int kHoldsForgottenLeases = 24;
constexpr MonotonicTime kSayAgainUs = 60'000'000;

}  // namespace

void Membership::SendInit(const ExecutorEntry& executor, std::vector<DriverCommand>& out) {
  Send send{executor.address, {}};
  proto::ExecutorInit& init = *send.message.mutable_executor_init();
  init = init_;
  const auto deltas = executor.streams.find(kDeltaStream);
  if (deltas != executor.streams.end()) init.set_deltas(deltas->second);
  if (!executor.receivers) {
    for (const uint32_t output : *probed_outputs_) {
      (*init.mutable_conf())[ProbedOutputKey(output)] = "";
    }
  }
  out.push_back(std::move(send));
}

void Membership::ReleaseTasks(std::vector<uint32_t> probed_outputs,
                              std::vector<DriverCommand>& out) {
  probed_outputs_ = std::move(probed_outputs);
  for (const auto& [id, executor] : executors_) {
    const bool waits = !executor.receivers && executor.phase == ExecutorEntry::Phase::kStarting &&
                       !executor.address.empty();
    if (waits) SendInit(executor, out);
  }
}

bool Membership::TasksStarting() const {
  return std::any_of(executors_.begin(), executors_.end(), [](const auto& entry) {
    return !entry.second.receivers && entry.second.phase == ExecutorEntry::Phase::kStarting;
  });
}

// With the generation that this brings the job has as many slots as it may use, and no more. A
// draining job is left as it is.
void Membership::Resize(MonotonicTime now, MembershipNews& news,
                        std::vector<DriverCommand>& out) {
  std::vector<uint32_t> other;
  for (const auto& [id, executor] : executors_) {
    const auto worker = workers_.find(executor.worker_id);
    const bool serves = worker != workers_.end() && WorkerServes(executor.worker_id);
    if (executor.receivers || executor.apart || !serves) continue;
    if (executor.slots != worker->second.member.slots()) other.push_back(id);
  }
  for (const uint32_t id : other) Evict(now, id, news, out);
}

void Membership::NoteStart(const ExecutorEntry& executor, const proto::ExecutorExited& exited) {
  if (executor.phase != ExecutorEntry::Phase::kStarting || !exited.by_itself()) return;
  FailedStarts& failed = failed_starts_[BackoffKey(executor)];
  ++failed.in_a_row;
  failed.last_executor = executor.id;
  failed.last_cause = exited.cause();
}

void Membership::GiveUp(MonotonicTime now, const MembershipNews::Refusal& refused,
                        MembershipNews& news, std::vector<DriverCommand>& out) {
  const auto it = executors_.find(refused.executor);
  if (it == executors_.end()) return;
  FailedStarts& failed = failed_starts_[BackoffKey(it->second)];
  ++failed.in_a_row;
  failed.last_executor = refused.executor;
  failed.last_cause = refused.cause;
  if (failed.said == 0 || now - failed.said > kSayAgainUs) {
    failed.said = now;
    out.push_back(Say{Say::Level::kWarning,
                      absl::StrCat("executor ", refused.executor, " on worker ",
                                   it->second.worker_id, " cannot work and is given up, and tried "
                                   "again from time to time: ", refused.cause)});
  }
  Evict(now, refused.executor, news, out);
}

// Of a worker that is away nothing is known: the others decide.
std::string Membership::NothingStarts(uint32_t times) const {
  for (const char* role : {"/t", "/r"}) {
    const FailedStarts* last = nullptr;
    bool all = true;
    for (const auto& [id, worker] : workers_) {
      if (!WorkerServes(id)) continue;
      const auto it = failed_starts_.find(id + role);
      all &= it != failed_starts_.end() && it->second.in_a_row >= times;
      if (it != failed_starts_.end()) last = &it->second;
    }
    if (!all || last == nullptr) continue;
    return absl::StrCat("no executor of the job starts: on every worker ", times,
                        " in a row ended before they were ready, the last one, executor ",
                        last->last_executor, ": ", last->last_cause,
                        "; what they printed is under logs/", options_.job, " in the data folder",
                        " of a worker");
  }
  return "";
}

void Membership::PutOut(MonotonicTime now, uint32_t executor, const std::string& why,
                        MembershipNews& news, std::vector<DriverCommand>& out) {
  const auto it = executors_.find(executor);
  if (it == executors_.end()) return;
  const std::string place = BackoffKey(it->second);
  out.push_back(Say{Say::Level::kWarning,
                    absl::StrCat("executor ", executor, " on worker ", it->second.worker_id,
                                 " leaves: ", why)});
  Hold& hold = holds_[place];
  if (now - hold.last > kHoldsForgottenLeases * options_.lease_us) hold.next_us = 0;
  hold.last = now;
  Evict(now, executor, news, out);
  if (hold.next_us > 0) backoff_until_[place] = now + hold.next_us;
  hold.next_us = std::min(std::max(2 * hold.next_us, 2 * options_.lease_us), kHoldLastUs);
}

}  // namespace sluice
