// Executors that ended, in the job driver's core: whose fault it was, who is tried alone, and when
// a batch has failed by it (design section 7: a task that kills or outlasts its executor).
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "driver/job/job_driver_core.h"

namespace sluice {

// The daemon's word may come after the broken link has told of the executor's end already.
void JobDriverCore::OnExited(MonotonicTime now, const std::string& from,
                             const proto::ExecutorExited& exited) {
  const auto it = members_.executors().find(exited.executor());
  const bool known = it != members_.executors().end();
  if (!members_.IsOfOurs(from, exited)) return;
  if (known) {
    out_.push_back(Say{Say::Level::kWarning,
                       absl::StrCat("executor ", exited.executor(), " (",
                                    it->second.receivers ? "receivers" : "tasks", ") on worker ",
                                    it->second.worker_id, " ended: ", exited.cause())});
  }
  const bool searched = known && it->second.apart;
  MembershipNews news;
  members_.OnExited(now, exited, news);
  TakeNews(now, news);
  if (known && !ever_up_ && !ended_) JudgeStart(exited);
  if (ended_ || exited.epoch() != epoch_ || !begun_) return;
  const Blame before = blame_;
  // Before its daemon's word an executor's end is a broken link, and others run its tasks again.
  const bool map_tasks =
      std::all_of(exited.tasks().begin(), exited.tasks().end(), [&](const auto& task) {
        return task.stage() < plan_->stages().size() && plan_->stages()[task.stage()].is_source;
      });
  const std::optional<TaskName> failed =
      blame_.OnExited(exited, blame_.names_records() && map_tasks && !searched);
  for (const TaskName& task : blame_.suspects()) {
    if (before.suspects().contains(task)) continue;
    out_.push_back(Say{Say::Level::kWarning,
                       absl::StrCat(Describe(task), ": ran when executor ", exited.executor(),
                                    " ended by ", exited.cause(), "; it is tried again alone")});
  }
  if (failed.has_value()) {
    OnBatchFailed(now, failed->batch_ms,
                  absl::StrCat(Describe(*failed), ": it ended its executor ",
                               blame_.FailuresOf(*failed), " times, last by ", exited.cause()));
    ForgetBlame(now, failed->batch_ms);
  }
  if (ended_ || blame_.suspects().empty()) return;
  // A word that changes nothing, told again or of an executor that was no member, must not end the
  // trial: everybody would load all state anew.
  if (blame_.suspects() == before.suspects() && blame_.culprits() == before.culprits()) return;
  members_.WantApart(now, true, out_);
  new_generation_wanted_ = true;
  phase_ = Phase::kForming;  // the present one would run the suspects among others
}

void JobDriverCore::ForgetBlame(MonotonicTime now, int64_t up_to_batch_ms) {
  blame_.Forget(up_to_batch_ms);
  if (blame_.suspects().empty()) members_.WantApart(now, false, out_);
}

std::string JobDriverCore::Describe(const TaskName& task) const {
  const bool known = plan_ != nullptr && task.stage < plan_->stages().size();
  if (!known) return absl::StrCat("batch ", task.batch_ms, ", stage ", task.stage);
  const Stage& stage = plan_->stages()[task.stage];
  std::set<std::string> chains;  // fused: which of them it was is not known
  for (const EdgeId id : stage.edges_out) {
    const Edge& edge = plan_->edges()[id];
    chains.insert(graph_.node(edge.node).inputs[edge.input].chain);
  }
  for (const uint32_t index : stage.output_pieces) {
    chains.insert(graph_.outputs()[plan_->output_pieces()[index].output].chain);
  }
  std::string operators = graph_.node(stage.root).label;
  for (const std::string& chain : chains) {
    if (!chain.empty()) absl::StrAppend(&operators, " > ", chain);
  }
  return absl::StrCat("batch ", task.batch_ms, ", operator ", operators, ", ",
                      stage.is_source ? "task " : "partition ", task.task, " of stage ",
                      task.stage);
}

}  // namespace sluice
