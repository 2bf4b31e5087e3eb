#include "driver/job/publisher.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/fault_point.h"
#include "common/mutations.h"

namespace sluice {
namespace {

constexpr MonotonicTime kBackoffFirstUs = 100'000;
constexpr MonotonicTime kBackoffLastUs = 10'000'000;

}  // namespace

void Publisher::Advance(MonotonicTime now, std::vector<DriverCommand>& out) {
  std::set<uint32_t> seen;  // outputs whose oldest unpublished batch was met
  const auto& decided = state_->decided();
  for (auto it = decided.upper_bound(all_published_ms_); it != decided.end(); ++it) {
    const auto& [batch_ms, batch] = *it;
    const bool durable = batch.position.slot != 0;
    if (!durable && !kMutationPublishedBeforeDecided) break;
    if (seen.empty() && !Waits(batch)) all_published_ms_ = batch_ms;
    for (const uint32_t output : batch.unpublished) {
      if (roller_->Rolls(output)) continue;
      if (!seen.insert(output).second) continue;
      Turn& turn = turns_[output];
      if (turn.busy_ms != 0 || turn.not_before > now) continue;
      if (Fires(FaultPoint::kPublishLater)) {
        turn.not_before = now + kBackoffFirstUs;
        continue;
      }
      turn.busy_ms = batch_ms;
      out.push_back(PublishOutput{batch_ms, batch.decided.outputs(output),
                                  state_->job().job_instance()});
    }
  }
}

void Publisher::OnDone(MonotonicTime now, const PublishDone& done,
                       std::vector<DriverCommand>& out) {
  Turn& turn = turns_[done.output];
  if (turn.busy_ms != done.batch_ms) return;
  turn.busy_ms = 0;
  if (!done.error.empty()) {
    turn.backoff = std::min(std::max(turn.backoff * 2, kBackoffFirstUs), kBackoffLastUs);
    turn.not_before = now + turn.backoff;
    if (blocked_ != done.error) {
      out.push_back(Say{Say::Level::kWarning,
                        absl::StrCat("publishing output ", done.output, " of batch ",
                                     done.batch_ms, " failed and is tried again: ", done.error)});
    }
    blocked_ = done.error;
    return;
  }
  turn.backoff = 0;
  blocked_.clear();
  proto::Entry entry;
  entry.mutable_published()->set_batch_ms(done.batch_ms);
  entry.mutable_published()->set_output(done.output);
  log_->Enqueue(std::move(entry));
  Advance(now, out);
}

bool Publisher::Waits(const DecidedBatch& batch) const {
  return std::any_of(batch.unpublished.begin(), batch.unpublished.end(),
                     [this](uint32_t output) { return !roller_->Rolls(output); });
}

bool Publisher::idle() const { return behind() == 0; }

size_t Publisher::behind() const {
  return std::count_if(state_->decided().upper_bound(all_published_ms_), state_->decided().end(),
                       [this](const auto& batch) { return Waits(batch.second); });
}

MonotonicTime Publisher::retry_at() const {
  MonotonicTime at = 0;
  for (const auto& [output, turn] : turns_) {
    if (turn.not_before > 0 && (at == 0 || turn.not_before < at)) at = turn.not_before;
  }
  return at;
}

}  // namespace sluice
