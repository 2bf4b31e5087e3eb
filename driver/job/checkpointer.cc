#include "driver/job/checkpointer.h"

#include "absl/strings/str_cat.h"
#include "common/fault_point.h"

namespace sluice {

bool Checkpointer::WantsNext(MonotonicTime now) const {
  if (batch_ms_ != 0) return false;
  return forced_ || !ever_ || now - last_ >= options_.checkpoint_interval_ms * 1000;
}

void Checkpointer::Begin(MonotonicTime now, int64_t batch_ms, uint64_t branch,
                         std::set<uint32_t> executors) {
  if (abandoned_ms_ >= batch_ms) abandoned_ms_ = 0;  // the same batch once more
  batch_ms_ = batch_ms;
  branch_ = branch;
  waiting_for_ = std::move(executors);
  next_chains_ = sealed_chains_;
  std::erase_if(next_chains_, [this](const auto& chain) {
    return former_partitions_.contains(chain.first.first);
  });
  putting_ = forced_ = false;
  ever_ = true;
  last_ = now;
}

void Checkpointer::OnPart(const proto::CheckpointPart& part, std::vector<DriverCommand>& out) {
  if (part.batch_ms() != batch_ms_ || !waiting_for_.contains(part.executor())) return;
  if (!part.error().empty() || Fires(FaultPoint::kCheckpointGivenUp)) {
    out.push_back(Say{Say::Level::kWarning, absl::StrCat("checkpoint of batch ", batch_ms_,
                                                         " is given up: ", part.error())});
    Abandon(last_);
    return;
  }
  for (const auto& piece : part.pieces()) {
    auto& chain = next_chains_[{piece.operator_name(), piece.partition()}];
    if (piece.whole()) chain.clear();
    chain.push_back(piece.part());
  }
  waiting_for_.erase(part.executor());
}

void Checkpointer::Advance(MonotonicTime now, std::vector<DriverCommand>& out) {
  (void)now;
  if (batch_ms_ == 0 || putting_ || !waiting_for_.empty()) return;
  const auto it = log_->durable().decided().find(batch_ms_);
  if (it == log_->durable().decided().end()) return;
  if (Fires(FaultPoint::kManifestLater)) return;
  putting_ = true;
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
    out.push_back(Say{Say::Level::kWarning, absl::StrCat("checkpoint of batch ", batch_ms_,
                                                         " is given up: ", put.error)});
    Abandon(last_);
    return;
  }
  sealed_chains_ = std::move(next_chains_);
  former_partitions_.clear();
  sealed_ms_ = batch_ms_;
  sealed_branch_ = branch_;
  batch_ms_ = 0;
  putting_ = false;
  proto::Entry entry;
  entry.mutable_sealed()->set_batch_ms(sealed_ms_);
  entry.mutable_sealed()->set_manifest(put.name);
  log_->Enqueue(std::move(entry));
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
