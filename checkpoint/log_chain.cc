#include "checkpoint/log_chain.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "checkpoint/errors.h"
#include "common/status.h"

namespace sluice {

LogChain::LogChain(uint64_t first_slot, std::string where) : where_(std::move(where)) {
  last_.slot = first_slot - 1;
}

absl::StatusOr<LogChain::Verdict> LogChain::Follow(uint64_t slot, const LogRecord& record) {
  RETURN_IF_ERROR(Check(slot, record));
  const bool is_void = record.epoch < highest_epoch_;
  if (!is_void) highest_epoch_ = record.epoch;
  last_ = {.slot = slot, .checksum = record.checksum};
  checksums_.push_back(record.checksum);
  return is_void ? Verdict::kVoid : Verdict::kLive;
}

absl::Status LogChain::Check(uint64_t slot, const LogRecord& record) const {
  if (slot != next_slot()) {
    return Damaged(next_slot(), absl::StrCat("is missing; the next one found is ", slot));
  }
  if (record.slot != slot) {
    return Damaged(slot, absl::StrCat("holds the record of slot ", record.slot));
  }
  const bool predecessor_known = !empty() || slot == 1;
  if (predecessor_known && record.predecessor != last_.checksum) {
    return Damaged(slot, "does not follow the record before it");
  }
  const bool opens = record.kind == LogRecordKind::kEpochOpened;
  if (record.epoch == 0) return Damaged(slot, "has epoch 0");
  if (opens && record.epoch == highest_epoch_) {
    return Damaged(slot, absl::StrCat("opens epoch ", record.epoch, " a second time"));
  }
  if (!opens && predecessor_known && record.epoch > highest_epoch_) {
    return Damaged(slot, absl::StrCat("is of epoch ", record.epoch, ", which nobody opened"));
  }
  return absl::OkStatus();
}

absl::StatusOr<LogRecord> LogChain::Decode(uint64_t slot, std::string_view bytes) const {
  absl::StatusOr<LogRecord> record = DecodeLogRecord(bytes);
  if (!record.ok()) return Damaged(slot, std::string(record.status().message()));
  return record;
}

void LogChain::ForgetBelow(uint64_t slot) {
  while (checksums_.size() > 1 && last_.slot + 1 - checksums_.size() < slot) {
    checksums_.pop_front();
  }
}

std::optional<uint32_t> LogChain::ChecksumAt(uint64_t slot) const {
  const uint64_t first = last_.slot + 1 - checksums_.size();
  if (slot < first || slot > last_.slot) return std::nullopt;
  return checksums_[slot - first];
}

absl::Status LogChain::Damaged(uint64_t slot, const std::string& what) const {
  return DamagedError(absl::StrCat("driver log damaged: ", where_, ", slot ", slot, ": ", what));
}

}  // namespace sluice
