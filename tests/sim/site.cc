#include "tests/sim/site.h"

#include "checkpoint/log_record.h"
#include "proto/log.pb.h"

namespace sluice::sim {

absl::Status SimLog::PutIfAbsent(uint64_t slot, std::string_view bytes) {
  const absl::Status status = MemoryLogStore::PutIfAbsent(slot, bytes);
  const absl::StatusOr<std::string> now = Get(slot);
  if (!now.ok() || *now != bytes) return status;
  const auto record = DecodeLogRecord(bytes);
  if (!record.ok()) return status;
  for (const std::string& payload : record->entries) {
    proto::Entry entry;
    if (!entry.ParseFromString(payload)) continue;
    if (entry.has_planned()) planned_.insert(entry.planned().composition().batch_ms());
    if (entry.block_added().block().records() > 0) {
      added_.insert(IdOf(entry.block_added().block().name()));
    }
    if (entry.has_decided()) decided_.insert(entry.decided().batch_ms());
    if (entry.has_rolling()) {
      const auto& range = entry.rolling();
      rolling_.insert({range.output(), range.from_ms(), range.to_ms()});
    }
    if (entry.has_sealed()) last_sealed_ms_ = entry.sealed().batch_ms();
  }
  return status;
}

}  // namespace sluice::sim
