#include "driver/job/checkpointer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/fault_point.h"

namespace sluice {
namespace {

// For the parts, from the decision on: much more than those of a large state take.
constexpr int64_t kPatienceUs = 300'000'000;
constexpr int64_t kPatienceIntervals = 3;
constexpr int64_t kPutPatienceUs = 120'000'000;

}  // namespace

bool Checkpointer::WantsNext(MonotonicTime now) const {
  if (batch_ms_ != 0) return false;
  return forced_ || !ever_ || now - last_ >= options_.checkpoint_interval_ms * 1000;
}

void Checkpointer::Begin(MonotonicTime now, int64_t batch_ms, uint64_t branch,
                         std::map<uint32_t, std::string> executors) {
  if (abandoned_ms_ >= batch_ms) abandoned_ms_ = 0;  // the same batch once more
  batch_ms_ = batch_ms;
  branch_ = branch;
  waiting_for_ = std::move(executors);
  next_chains_ = sealed_chains_;
  std::erase_if(next_chains_, [this](const auto& chain) {
    return former_partitions_.contains(chain.first.first);
  });
  decided_at_ = 0;
  putting_ = forced_ = false;
  ever_ = true;
  last_ = now;
}

void Checkpointer::OnPart(const proto::CheckpointPart& part, std::vector<DriverCommand>& out) {
  const auto waits = waiting_for_.find(part.executor());
  if (part.batch_ms() != batch_ms_ || waits == waiting_for_.end()) return;
  if (!part.error().empty() || Fires(FaultPoint::kCheckpointGivenUp)) {
    return GiveUp(last_, absl::StrCat("worker ", waits->second, ": ", part.error()), out);
  }
  for (const auto& piece : part.pieces()) {
    auto& chain = next_chains_[{piece.operator_name(), piece.partition()}];
    if (piece.whole()) chain.clear();
    chain.push_back(piece.part());
  }
  waiting_for_.erase(waits);
}

void Checkpointer::Advance(MonotonicTime now, std::vector<DriverCommand>& out) {
  if (batch_ms_ == 0) return;
  if (putting_) return SayLate(now, out);
  const auto it = log_->durable().decided().find(batch_ms_);
  if (it == log_->durable().decided().end()) return;
  if (decided_at_ == 0) decided_at_ = now;
  if (!waiting_for_.empty()) return GiveUpLate(now, out);
  if (Fires(FaultPoint::kManifestLater)) return;
  putting_ = true;
  put_at_ = now;
  put_late_ = false;
  PutManifest put;
  put.batch_ms = batch_ms_;
  put.decided_slot = it->second.position.slot;
  put.decided_checksum = it->second.position.checksum;
  for (const auto& [key, parts] : next_chains_) {
    proto::Grant::PartChain chain;
    chain.set_operator_name(key.first);
    chain.set_partition(key.second);
    for (const std::string& part : parts) chain.add_parts(part);
    put.chains.push_back(std::move(chain));
  }
  put.kept = log_->durable().Keep(log_->next_slot());
  put.kept.set_branch(branch_);
  out.push_back(std::move(put));
}

void Checkpointer::OnManifestPut(const ManifestPut& put, std::vector<DriverCommand>& out) {
  if (put.batch_ms != batch_ms_ || !putting_) return;
  if (!put.error.empty()) {
    return GiveUp(last_, put.error, out);
  }
  sealed_chains_ = std::move(next_chains_);
  former_partitions_.clear();
  sealed_ms_ = batch_ms_;
  sealed_branch_ = branch_;
  batch_ms_ = 0;
  putting_ = given_up_ = false;
  problem_.clear();
  proto::Entry entry;
  entry.mutable_sealed()->set_batch_ms(sealed_ms_);
  entry.mutable_sealed()->set_manifest(put.name);
  log_->Enqueue(std::move(entry));
}

void Checkpointer::GiveUp(MonotonicTime now, const std::string& why,
                          std::vector<DriverCommand>& out) {
  const std::string text = absl::StrCat("checkpoint of batch ", batch_ms_, " is given up: ", why);
  out.push_back(Say{Say::Level::kWarning, text});
  if (std::exchange(given_up_, true)) problem_ = text;
  Abandon(now);
}

// Its executors write when they hear that the batch is decided. A disk that hangs gives no error.
void Checkpointer::GiveUpLate(MonotonicTime now, std::vector<DriverCommand>& out) {
  patience_us_ = std::max(
      {patience_us_, kPatienceUs, kPatienceIntervals * 1000 * options_.checkpoint_interval_ms});
  if (now - decided_at_ < patience_us_) return;
  patience_us_ *= 2;
  given_up_ = true;
  GiveUp(now,
         absl::StrCat("for ", (now - decided_at_) / 1'000'000, " s ", waiting_for_.size(),
                      " executors have not written their parts, the first of worker ",
                      waiting_for_.begin()->second),
         out);
}

// It is not tried beside the one that hangs: whichever came last would count as the other.
void Checkpointer::SayLate(MonotonicTime now, std::vector<DriverCommand>& out) {
  if (put_late_ || now - put_at_ < kPutPatienceUs) return;
  put_late_ = true;
  problem_ = absl::StrCat("the store has not taken the manifest of batch ", batch_ms_, " for ",
                          (now - put_at_) / 1'000'000, " s; no checkpoint is taken until it does");
  out.push_back(Say{Say::Level::kWarning, problem_});
}

void Checkpointer::Abandon(MonotonicTime now) {
  if (batch_ms_ == 0) return;
  abandoned_ms_ = batch_ms_;
  batch_ms_ = 0;
  putting_ = false;
  waiting_for_.clear();
  last_ = now;
}

}  // namespace sluice
