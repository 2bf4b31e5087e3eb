// Copies of tasks that are late (docs/straggler_copies.md).
#include <algorithm>

#include "common/plan/copies.h"
#include "driver/job/batch_runner.h"

namespace sluice {

uint32_t BatchRunner::OnLate(const proto::StageLate& late, std::vector<DriverCommand>& out) {
  BatchRun* run = Find(late.batch_ms());
  const bool known = late.generation().epoch() == generation_.epoch() &&
                     late.generation().number() == generation_.number() && run != nullptr &&
                     late.stage() < plan_.stages().size();
  if (!options_.straggler_copies || !known || run->rebuild ||
      !MayBeCopied(plan_.stages()[late.stage()])) {
    return 0;
  }
  const auto helper = std::find_if(members_in_.begin(), members_in_.end(), [&](const auto& member) {
    return member.executor() == late.executor();
  });
  if (helper == members_in_.end()) return 0;
  Send send{helper->address(), {}};
  proto::BatchGrant& grant = *send.message.mutable_batch_grant();
  *grant.mutable_generation() = generation_;
  uint32_t started = 0;
  for (const auto& source : state_->planned().at(late.batch_ms()).sources()) {
    if (source.stage() != late.stage()) continue;
    const auto tasks = static_cast<uint32_t>(source.tasks_size());
    for (uint32_t task = tasks; task-- > 0;) {  // its owner begins with the first of its own
      const proto::TaskInput& input = source.tasks(static_cast<int>(task));
      const auto& owner = members_in_[MemberOfTask(run->batch_ms, late.stage(), task, tasks)];
      const auto& missing = late.missing();
      const bool waits =
          std::find(missing.begin(), missing.end(), owner.executor()) != missing.end();
      // What may have ended an executor is not given to one more.
      const bool suspect = blame_->suspects().contains({run->batch_ms, late.stage(), task});
      const bool elsewhere = owner.worker_id() != helper->worker_id();
      if (!waits || suspect || !elsewhere || input.pieces_size() == 0) continue;
      const auto copied = run->copies.find({late.stage(), task});
      const bool again = copied != run->copies.end() && copied->second == late.executor();
      const bool fresh = copied == run->copies.end() && started < helper->slots();
      if ((!again && !fresh) || !InputReady(input)) continue;
      if (fresh) {
        run->copies[{late.stage(), task}] = late.executor();
        ++started;
      }
      auto& copy = *grant.add_copies();
      copy.set_batch_ms(run->batch_ms);
      copy.set_stage(late.stage());
      copy.set_owner(owner.executor());
      FillTask(input, task, *copy.mutable_task());
    }
  }
  if (grant.copies_size() > 0) out.push_back(std::move(send));
  return started;
}

}  // namespace sluice
