#include "checkpoint/s3_log_store.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "checkpoint/errors.h"
#include "checkpoint/log_record.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr size_t kReaders = 16;       // slots that are read at a time
constexpr size_t kReadAhead = 512;    // and in memory before they are visited
constexpr uint64_t kSlotBytesMax = kLogRecordBytesMax;

}  // namespace

absl::StatusOr<std::vector<uint64_t>> S3LogStore::Slots(uint64_t from) {
  const std::string after = from == 0 ? std::string() : place_.SlotKey(from - 1);
  ASSIGN_OR_RETURN(const std::vector<S3Object> objects, bucket_->List(place_.log_prefix(), after));
  std::vector<uint64_t> slots;
  for (const S3Object& object : objects) {
    const std::optional<uint64_t> slot = place_.SlotOf(object.key);
    if (!slot) return DamagedError("driver log damaged: no name of a slot: " + object.key);
    slots.push_back(*slot);
  }
  return slots;
}

absl::Status S3LogStore::ReadAll(uint64_t from, const Visitor& visitor) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> slots, Slots(from));
  for (size_t begin = 0; begin < slots.size(); begin += kReadAhead) {
    const size_t count = std::min(kReadAhead, slots.size() - begin);
    std::vector<absl::StatusOr<std::string>> read(count, absl::UnknownError("not read"));
    std::atomic<size_t> next = 0;
    const auto reader = [&] {
      for (size_t i = next++; i < count; i = next++) read[i] = Get(slots[begin + i]);
    };
    std::vector<std::thread> readers;
    for (size_t i = 1; i < std::min(kReaders, count); ++i) readers.emplace_back(reader);
    reader();
    for (std::thread& thread : readers) thread.join();
    for (size_t i = 0; i < count; ++i) {
      if (absl::IsNotFound(read[i].status())) continue;  // collected since it was listed
      RETURN_IF_ERROR(read[i].status());
      RETURN_IF_ERROR(visitor(slots[begin + i], *read[i]));
    }
  }
  return absl::OkStatus();
}

absl::Status S3LogStore::PutIfAbsent(uint64_t slot, std::string_view bytes) {
  const absl::Status put = bucket_->PutIfAbsent(place_.SlotKey(slot), bytes);
  if (!put.ok() && !absl::IsAlreadyExists(put)) return put;
  if (slot == 1) {
    const absl::Status begun = bucket_->PutIfAbsent(place_.begun_key(), "");
    if (!begun.ok() && !absl::IsAlreadyExists(begun)) return begun;
  }
  std::lock_guard lock(mutex_);
  seen_ = std::max(seen_, slot);
  return put;
}

absl::StatusOr<std::string> S3LogStore::Get(uint64_t slot) {
  absl::StatusOr<std::string> bytes = bucket_->Get(place_.SlotKey(slot), kSlotBytesMax);
  if (IsDamaged(bytes.status())) return WithContext("driver log damaged", bytes.status());
  return bytes;
}

// Within one request of the store slots go in no order. That is as good as oldest first: what a
// driver that slept looks for are later slots, of which the last is never deleted.
absl::Status S3LogStore::DeleteUpTo(uint64_t slot) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> slots, Slots(0));
  std::vector<std::string> keys;
  for (const uint64_t one : slots) {
    if (one <= slot) keys.push_back(place_.SlotKey(one));
  }
  return bucket_->Delete(keys);
}

// No put of another can come between: a slot that is taken is never put.
absl::Status S3LogStore::CutTail(uint64_t slot, std::string_view bytes) {
  const absl::StatusOr<std::string> held = Get(slot);
  if (absl::IsNotFound(held.status())) return absl::OkStatus();
  RETURN_IF_ERROR(held.status());
  if (*held != bytes) return absl::OkStatus();
  {
    std::lock_guard lock(mutex_);
    seen_ = std::min(seen_, slot - 1);
  }
  return bucket_->Delete({place_.SlotKey(slot)});
}

absl::StatusOr<std::optional<uint64_t>> S3LogStore::DurableLength() {
  uint64_t from = 0;
  {
    std::lock_guard lock(mutex_);
    from = seen_;
  }
  ASSIGN_OR_RETURN(std::vector<uint64_t> slots, Slots(from));
  if (slots.empty() && from > 0) {  // what was seen is gone
    ASSIGN_OR_RETURN(slots, Slots(0));
  }
  std::lock_guard lock(mutex_);
  if (slots.empty()) return seen_ > 0 ? std::optional<uint64_t>(seen_) : std::nullopt;
  seen_ = std::max(seen_, slots.back());
  return std::optional<uint64_t>(seen_);
}

absl::StatusOr<std::optional<uint64_t>> S3LogStore::FirstSlot() {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> slots, Slots(0));
  return slots.empty() ? std::nullopt : std::optional<uint64_t>(slots.front());
}

absl::StatusOr<bool> S3LogStore::Begun() {
  const absl::StatusOr<std::string> marker = bucket_->Get(place_.begun_key());
  if (marker.ok()) return true;
  if (!absl::IsNotFound(marker.status())) return marker.status();
  ASSIGN_OR_RETURN(const std::optional<uint64_t> first, FirstSlot());
  if (!first) return false;
  const absl::Status mended = bucket_->PutIfAbsent(place_.begun_key(), "");  // its driver crashed
  if (!mended.ok() && !absl::IsAlreadyExists(mended)) return mended;
  return true;
}

std::string S3LogStore::Where() const {
  std::string prefix = place_.log_prefix();
  prefix.pop_back();
  return bucket_->Where() + "/" + prefix;
}

}  // namespace sluice
