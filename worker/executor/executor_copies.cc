// The executor's core: tasks that two executors run, the one whose they are and one that has
// nothing else to do (docs/straggler_copies.md).
#include <algorithm>
#include <string>
#include <utility>

#include "common/crc32c.h"
#include "common/mutations.h"
#include "common/plan/copies.h"
#include "worker/executor/executor_core.h"

namespace sluice {
namespace {

// A task is late when three quarters of the executors have run theirs, and it takes longer than
// one and a half times what these took, and than a time worth the trouble.
constexpr double kTimes = 1.5;
constexpr int64_t kWorthUs = 20'000;

int64_t Median(std::vector<int64_t> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Shares in any order give the same sum.
uint64_t DigestOf(EdgeId edge, uint32_t partition, uint64_t records, std::string_view batch) {
  const std::string name =
      std::to_string(edge) + "," + std::to_string(partition) + "," + std::to_string(records);
  return (uint64_t{ExtendCrc32c(Crc32c(name), batch)} << 32) | Crc32c(batch);
}

}  // namespace

// ---- asking ----------------------------------------------------------------------------------

bool ExecutorCore::Idle() const {
  return std::none_of(batches_.begin(), batches_.end(), [](const auto& one) {
    const BatchWork& batch = one.second;
    return std::any_of(batch.stages.begin(), batch.stages.end(),
                       [](const StageWork& work) {
                         return work.state == StageWork::State::kRunning;
                       }) ||
           std::any_of(batch.copies.begin(), batch.copies.end(), [](const auto& copy) {
             return copy.second.state == CopyWork::State::kRunning;
           });
  });
}

// When the job driver is to be asked for copies of what others are late with; 0: as things are,
// never.
MonotonicTime ExecutorCore::CopiesDue(const BatchWork& batch, const Stage& stage) const {
  const StageWork& work = batch.stages[stage.id];
  if (!options_.straggler_copies || batch.finished || batch.granted->rebuild() ||
      work.state != StageWork::State::kDone || !MayBeCopied(stage) ||
      !Sends(batch, stage) || !Idle()) {
    return 0;
  }
  std::vector<int64_t> took;
  size_t done = 0;
  for (const Member& member : members_) {
    const proto::ShareBundle* last =
        shares_.Last(batch.granted->batch_ms(), stage.id, member.info.executor());
    if (last == nullptr) continue;
    ++done;
    if (last->took_us() > 0) took.push_back(last->took_us());
  }
  if (done == members_.size() || done < std::max<size_t>(1, members_.size() * 3 / 4)) return 0;
  const int64_t worth = std::max(kWorthUs, options_.batch_interval_ms * 1000 / 10);
  const auto late = static_cast<int64_t>(kTimes * static_cast<double>(Median(std::move(took))));
  const MonotonicTime begun = work.launched != 0 ? work.launched : batch.started;
  const MonotonicTime due = begun + std::max(worth, late);
  return work.asked == 0 ? due : std::max(due, work.asked + options_.answer_repeat_us);
}

void ExecutorCore::AskForCopies() {
  for (auto& [batch_ms, batch] : batches_) {
    for (const Stage& stage : plan_->stages()) {
      const MonotonicTime due = CopiesDue(batch, stage);
      if (due == 0 || due > now_) continue;
      batch.stages[stage.id].asked = now_;
      proto::Envelope message;
      proto::StageLate& late = *message.mutable_stage_late();
      *late.mutable_generation() = WireGeneration();
      late.set_batch_ms(batch_ms);
      late.set_stage(stage.id);
      late.set_executor(options_.executor);
      for (const Member& member : members_) {
        const uint32_t executor = member.info.executor();
        if (!shares_.Has(batch_ms, stage.id, executor)) late.add_missing(executor);
      }
      SendToDriver(std::move(message));
    }
  }
}

// ---- running another one's task ----------------------------------------------------------------

void ExecutorCore::TakeCopy(const proto::TaskCopy& copy) {
  const auto it = batches_.find(copy.batch_ms());
  if (it == batches_.end() || it->second.finished) return;
  if (copy.stage() >= plan_->stages().size()) return;
  BatchWork& batch = it->second;
  const bool another_ones = IsMember(copy.owner()) && copy.owner() != options_.executor;
  if (!another_ones || !MayBeCopied(plan_->stages()[copy.stage()])) return;
  if (shares_.Has(copy.batch_ms(), copy.stage(), copy.owner())) return;  // it has ended
  const auto [known, is_new] = batch.copies.try_emplace({copy.stage(), copy.task().task()});
  if (!is_new) return;
  known->second.owner = copy.owner();
  auto granted = std::make_shared<proto::GrantedBatch>(*batch.granted);
  RunTasks command;
  for (auto& source : *granted->mutable_stages()) {
    if (source.stage() != copy.stage()) continue;
    source.clear_tasks();
    *source.add_tasks() = copy.task();
    command.tasks.push_back({copy.task().task(), 0, &source.tasks(0), {}});
  }
  if (command.tasks.empty()) return;
  command.generation = generation_;
  command.batch_ms = copy.batch_ms();
  command.presence = batch.presence;
  command.stage = copy.stage();
  command.batch = std::move(granted);
  command.copy = true;
  out_.push_back(std::move(command));
}

void ExecutorCore::OnCopyEnded(BatchWork& batch, TasksEnded& event) {
  const uint32_t task = !event.results.empty()  ? event.results.front().task
                        : !event.failed.empty() ? event.failed.front().task
                                                : event.left.front();
  const auto it = batch.copies.find({event.stage, task});
  if (it == batch.copies.end() || it->second.state != CopyWork::State::kRunning) return;
  CopyWork& work = it->second;
  // Its owner goes on: a copy that fails has never been.
  work.state = CopyWork::State::kOver;
  batch.stages[event.stage].asked = 0;  // there may be more to do
  if (kMutationCopyCharged && !event.failed.empty()) {
    return FailBatch(batch, event.failed.front().failure);
  }
  if (event.results.empty() || batch.finished) return;
  work.state = CopyWork::State::kSent;
  TaskResult& result = event.results.front();
  BundleHead head;
  head.generation = generation_;
  head.job_instance = options_.job_instance;
  head.batch_ms = event.batch_ms;
  head.stage = event.stage;
  head.from_executor = options_.executor;
  head.copy.emplace();
  head.copy->set_task(task);
  head.copy->set_owner(work.owner);
  proto::CopyResult& told = head.copy_result;
  told.set_records_read(result.records_read);
  told.set_bytes_read(result.bytes_read);
  std::map<EdgeId, uint64_t> pushed;
  uint64_t digest = 0;
  for (const OutShare& share : result.shares) {
    pushed[share.edge] += share.records;
    const Stage& to = plan_->stage_of(share.edge);
    const uint32_t place = owners_->OwnerOf(to.id, share.partition, to.partitions);
    if (members_[place].info.executor() == work.owner) continue;
    digest += DigestOf(share.edge, share.partition, share.records, share.batch);
  }
  for (const auto& [edge, records] : pushed) {
    auto& count = *told.add_edges();
    count.set_edge(edge);
    count.set_pushed(records);
  }
  told.set_digest(digest);
  if (result.left_out.has_value()) *told.mutable_left_out() = *std::move(result.left_out);
  for (auto& letter : result.letters) *told.add_letters() = std::move(letter);
  Distribute(batch, head, event.results);
}

// The owner has ended the stage: what still runs here in its stead is for nobody.
void ExecutorCore::LeaveLostCopies(BatchWork& batch, StageId stage, uint32_t owner) {
  for (auto& [name, work] : batch.copies) {
    if (name.first != stage || work.owner != owner) continue;
    if (work.state != CopyWork::State::kRunning) continue;
    work.state = CopyWork::State::kOver;
    out_.push_back(
        LeaveTask{generation_, batch.granted->batch_ms(), stage, name.second, /*copy=*/true});
  }
}

// ---- whose task it is --------------------------------------------------------------------------

// The member whose copy of an own task is in.
std::optional<uint32_t> ExecutorCore::CopierOf(int64_t batch_ms, StageId stage,
                                               uint32_t task) const {
  for (const Member& member : members_) {
    const uint32_t executor = member.info.executor();
    const proto::ShareBundle* copy = shares_.CopyBy(batch_ms, stage, task, executor);
    if (copy != nullptr && copy->copy().owner() == options_.executor) return executor;
  }
  return std::nullopt;
}

// True: the task has not ended here, a copy of it has; that one counts from now on.
bool ExecutorCore::TakeTaken(BatchWork& batch, StageId stage, uint32_t task) {
  const auto copier = CopierOf(batch.granted->batch_ms(), stage, task);
  if (copier.has_value()) batch.stages[stage].taken.emplace(task, *copier);
  return copier.has_value();
}

void ExecutorCore::OnBundleTaken(BatchWork& batch, const proto::ShareBundle& chunk) {
  const int64_t batch_ms = chunk.batch_ms();
  const StageId stage = chunk.stage();
  if (stage >= batch.stages.size()) return;
  if (!chunk.has_copy()) {
    if (shares_.Has(batch_ms, stage, chunk.from_executor())) {
      LeaveLostCopies(batch, stage, chunk.from_executor());
    }
    return;
  }
  if (chunk.copy().owner() != options_.executor) return;
  StageWork& work = batch.stages[stage];
  const uint32_t task = chunk.copy().task();
  if (work.state == StageWork::State::kDone) {
    if (chunk.last_chunk() && !work.taken.contains(task)) Compare(batch, chunk);
    return;
  }
  if (!CopierOf(batch_ms, stage, task).has_value()) return;  // a part of it is
  if (work.state == StageWork::State::kRunning) {
    out_.push_back(LeaveTask{generation_, batch_ms, stage, task, /*copy=*/false});
  } else if (work.state == StageWork::State::kRetry &&
             std::erase(work.again, task) > 0 && TakeTaken(batch, stage, task) &&
             work.again.empty()) {
    FinishStage(batch, plan_->stages()[stage]);
  }
}

// The copy came second. What both have for others must be the same.
void ExecutorCore::Compare(BatchWork& batch, const proto::ShareBundle& chunk) {
  const uint32_t task = chunk.copy().task();
  if (!batch.stages[chunk.stage()].compared.insert(task).second) return;
  uint64_t digest = 0;
  for (const BundleChunks& sent : batch.sent) {
    for (const auto& own : sent) {
      if (own->stage() != chunk.stage() || own->has_copy()) continue;
      for (const auto& share : own->shares()) {
        if (share.task() != task) continue;
        digest += DigestOf(share.edge(), share.partition(), share.records(), share.batch());
      }
    }
  }
  if (digest == chunk.copy_result().digest()) return;
  proto::Envelope message;
  proto::CopyDiffers& differs = *message.mutable_copy_differs();
  *differs.mutable_generation() = WireGeneration();
  differs.set_batch_ms(chunk.batch_ms());
  differs.set_stage(chunk.stage());
  differs.set_task(task);
  differs.set_executor(chunk.from_executor());
  SendToDriver(std::move(message));
}

}  // namespace sluice
