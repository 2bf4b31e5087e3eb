// The driver log's slots as objects of a bucket: the condition of a put is the fence.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "checkpoint/log_store.h"
#include "checkpoint/s3_bucket.h"
#include "checkpoint/s3_place.h"

namespace sluice {

// Takes no lock: whoever opens it may put, and the epochs in the slots decide (log_core.h). The
// witness of the length is the listing (docs/stores.md says why that is enough).
class S3LogStore : public LogStore {
 public:
  S3LogStore(std::shared_ptr<S3Bucket> bucket, S3Place place)
      : bucket_(std::move(bucket)), place_(std::move(place)) {}

  absl::Status ReadAll(uint64_t from, const Visitor& visitor) override;
  absl::Status PutIfAbsent(uint64_t slot, std::string_view bytes) override;
  absl::StatusOr<std::string> Get(uint64_t slot) override;
  absl::Status DeleteUpTo(uint64_t slot) override;
  absl::Status CutTail(uint64_t slot, std::string_view bytes) override;
  absl::StatusOr<std::optional<uint64_t>> DurableLength() override;
  std::string Where() const override;

  // The lowest slot that is there.
  absl::StatusOr<std::optional<uint64_t>> FirstSlot();
  // Whether a slot was ever put. Puts the marker of it where only that is missing.
  absl::StatusOr<bool> Begun();

 private:
  // The slots from `from` on, in order. Damaged for a key that is none of a slot.
  absl::StatusOr<std::vector<uint64_t>> Slots(uint64_t from);

  const std::shared_ptr<S3Bucket> bucket_;
  const S3Place place_;
  std::mutex mutex_;
  uint64_t seen_ = 0;  // a slot that was there; nothing below it is the highest
};

}  // namespace sluice
