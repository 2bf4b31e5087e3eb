// What must hold before executors of the job driver's core begin, and what becomes of a job of
// which some or all cannot (docs/file_outputs.md, “Before the first batch”).
#include "driver/job/job_driver_core.h"

namespace sluice {

void JobDriverCore::JudgeStart(const proto::ExecutorExited& exited) {
  if (exited.refused() && state_.last_decided_ms() == 0) return Fail(3, exited.cause());
  JudgeStarts();
}

// An executor says that it cannot work. A job that has decided batches does without it.
void JobDriverCore::OnRefused(MonotonicTime now, const MembershipNews::Refusal& refused) {
  if (state_.last_decided_ms() == 0) return Fail(3, refused.cause);
  MembershipNews news;
  members_.GiveUp(now, refused, news, out_);
  TakeNews(now, news);
  if (!ended_) JudgeStarts();
}

// A job that has not come up must not wait for ever for executors that cannot. One that has decided
// batches, under this driver or a former one, goes on trying, and its status says why.
void JobDriverCore::JudgeStarts() {
  if (ever_up_ || state_.last_decided_ms() != 0) return;
  const std::string nothing = members_.NothingStarts(options_.task_max_failures);
  if (!nothing.empty()) Fail(1, nothing);
}

void JobDriverCore::OnMarked(const OutputsMarked& marked) {
  if (!marked.refused.empty() && state_.last_decided_ms() == 0) return Fail(3, marked.refused);
  marks_.OnMarked(marked, out_);
  members_.ReleaseTasks(marked.outputs, out_);
}

void JobDriverCore::AdvanceMarks() {
  if (!marks_.needed() || !log_.durable().begun()) return;
  const bool wanted = members_.TasksStarting() || members_.ReadyTaskExecutors().empty();
  const MarkOutputs mark{state_.job().job_instance(), state_.last_decided_ms() == 0};
  if (marks_.Advance(wanted, mark, out_)) members_.HoldTasks();
}

}  // namespace sluice
