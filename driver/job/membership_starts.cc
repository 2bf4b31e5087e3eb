// Executors that are given up for others: of a job that got more or fewer slots on a worker. And
// executors that end by themselves before they are ready, and when that is the job's end.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "driver/job/membership.h"

namespace sluice {
namespace {

constexpr int64_t kHoldLastUs = 60'000'000;
constexpr int kHoldsForgottenLeases = 24;

}  // namespace

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

// Of a worker that is away nothing is known: the others decide.
std::string Membership::NothingStarts(uint32_t times) {
  for (const char* role : {"/t", "/r"}) {
    const FailedStarts* last = nullptr;
    bool all = true;
    for (const WorkerEntry* worker : Serving()) {
      const auto it = failed_starts_.find(worker->member.worker_id() + role);
      all &= it != failed_starts_.end() && it->second.in_a_row >= times;
      if (it != failed_starts_.end()) last = &it->second;
    }
    if (!all || last == nullptr) continue;
    return absl::StrCat("no executor of the job starts: on every worker ", times,
                        " in a row ended before they were ready, the last one, executor ",
                        last->last_executor, ", by ", last->last_cause,
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
