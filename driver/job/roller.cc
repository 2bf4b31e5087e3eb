#include "driver/job/roller.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "common/fault_point.h"
#include "common/mutations.h"

namespace sluice {
namespace {

constexpr MonotonicTime kBackoffFirstUs = 100'000;
constexpr MonotonicTime kBackoffLastUs = 10'000'000;

}  // namespace

Roller::Roller(const std::vector<Output>& outputs, const JobState* state, LogQueue* log)
    : state_(state), log_(log) {
  for (const Output& output : outputs) {
    if (!sluice::Rolls(output)) continue;
    Heap& heap = heaps_[output.id];
    heap.bytes_enough = output.roll_bytes;
    heap.age_ms_enough = output.roll_after_ms;
    heap.prefix = output.prefix;
    heap.suffix = output.suffix;
  }
}

bool Roller::Gather(uint32_t output, Heap& heap) const {
  const auto enough = [&] {
    return heap.from_ms != 0 && (heap.bytes >= heap.bytes_enough ||
                                 heap.counted_ms - heap.from_ms >= heap.age_ms_enough ||
                                 Fires(FaultPoint::kRollEarly));
  };
  const auto& decided = state_->decided();
  for (auto it = decided.upper_bound(heap.counted_ms); it != decided.end() && !enough(); ++it) {
    const auto& [batch_ms, batch] = *it;
    if (batch.position.slot == 0) break;  // not durable
    heap.counted_ms = batch_ms;
    if (!batch.unpublished.contains(output)) continue;
    if (heap.from_ms == 0) heap.from_ms = batch_ms;
    heap.bytes += batch.decided.outputs(output).bytes();
  }
  return enough();
}

void Roller::Decide(uint32_t output, Heap& heap) {
  proto::Entry entry;
  auto& range = *entry.mutable_rolling();
  range.set_output(output);
  range.set_from_ms(heap.from_ms);
  range.set_to_ms(heap.counted_ms);
  log_->Enqueue(std::move(entry));
  heap.from_ms = 0;
  heap.bytes = 0;
}

RollOutput Roller::CommandFor(const proto::Rolling& range, const Heap& heap) const {
  RollOutput command{state_->job().job_instance(), range.output(), range.from_ms(),
                     range.to_ms(), {}, ""};
  const auto& decided = state_->decided();
  for (auto it = decided.lower_bound(range.from_ms());
       it != decided.end() && it->first <= range.to_ms(); ++it) {
    const bool staged = it->second.unpublished.contains(range.output());
    if (staged) command.staged.push_back(it->second.decided.outputs(range.output()));
  }
  char instance[17];
  std::snprintf(instance, sizeof instance, "%016" PRIx64, state_->job().job_instance());
  command.target = absl::StrCat(heap.prefix, "-", range.from_ms(), "-", range.to_ms(), "-",
                                instance, heap.suffix.empty() ? "" : ".", heap.suffix);
  return command;
}

void Roller::Advance(MonotonicTime now, bool flush, std::vector<DriverCommand>& out) {
  for (auto& [output, heap] : heaps_) {
    const proto::Rolling* range = state_->RollingOf(output);
    if (range == nullptr) {
      if (!Gather(output, heap) && !(flush && heap.from_ms != 0)) continue;
      Decide(output, heap);
      range = state_->RollingOf(output);
    } else if (heap.counted_ms < range->to_ms()) {
      heap.counted_ms = range->to_ms();  // a former driver had decided it
    }
    const proto::Rolling* logged = log_->durable().RollingOf(output);
    const bool durable = logged != nullptr && logged->to_ms() == range->to_ms();
    if ((!durable && !kMutationRolledBeforeLogged) || heap.busy || heap.not_before > now) continue;
    heap.busy = true;
    out.push_back(CommandFor(*range, heap));
  }
}

void Roller::OnDone(MonotonicTime now, const PublishDone& done, std::vector<DriverCommand>& out) {
  Heap& heap = heaps_.at(done.output);
  const proto::Rolling* range = state_->RollingOf(done.output);
  if (!heap.busy || range == nullptr || range->to_ms() != done.batch_ms) return;
  heap.busy = false;
  if (!done.error.empty()) {
    heap.backoff = std::min(std::max(heap.backoff * 2, kBackoffFirstUs), kBackoffLastUs);
    heap.not_before = now + heap.backoff;
    if (blocked_ != done.error) {
      out.push_back(Say{Say::Level::kWarning,
                        absl::StrCat("the file of output ", done.output, " for batches up to ",
                                     done.batch_ms, " cannot be made and is tried again: ",
                                     done.error)});
    }
    blocked_ = done.error;
    return;
  }
  heap.backoff = 0;
  blocked_.clear();
  proto::Entry entry;
  auto& published = *entry.mutable_published();
  published.set_output(done.output);
  published.set_from_ms(range->from_ms());
  published.set_batch_ms(range->to_ms());
  log_->Enqueue(std::move(entry));
}

size_t Roller::behind() const {
  size_t most = 0;
  for (const auto& [output, heap] : heaps_) {
    const proto::Rolling* range = state_->RollingOf(output);
    if (range == nullptr || heap.backoff == 0) continue;
    const auto& decided = state_->decided();
    const auto after = std::distance(decided.upper_bound(range->to_ms()), decided.end());
    most = std::max(most, static_cast<size_t>(after));
  }
  return most;
}

bool Roller::idle() const {
  return std::all_of(heaps_.begin(), heaps_.end(), [this](const auto& entry) {
    const auto& [output, heap] = entry;
    return !heap.busy && state_->RollingOf(output) == nullptr;
  });
}

bool Roller::empty() const {
  return idle() && std::all_of(heaps_.begin(), heaps_.end(), [this](const auto& entry) {
           const auto& [output, heap] = entry;
           const auto& decided = state_->decided();
           return heap.from_ms == 0 && decided.upper_bound(heap.counted_ms) == decided.end();
         });
}

MonotonicTime Roller::retry_at() const {
  MonotonicTime at = 0;
  for (const auto& [output, heap] : heaps_) {
    if (heap.not_before > 0 && (at == 0 || heap.not_before < at)) at = heap.not_before;
  }
  return at;
}

}  // namespace sluice
