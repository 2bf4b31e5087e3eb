#include "checkpoint/memory_log_store.h"
#include "common/status.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace sluice {

absl::Status MemoryLogStore::ReadAll(uint64_t from, const Visitor& visitor) {
  std::vector<std::pair<uint64_t, std::string>> found;
  {
    std::lock_guard lock(mutex_);
    found.assign(medium_.slots.lower_bound(from), medium_.slots.end());
  }
  for (const auto& [slot, bytes] : found) {
    RETURN_IF_ERROR(visitor(slot, bytes));
  }
  return absl::OkStatus();
}

absl::Status MemoryLogStore::PutIfAbsent(uint64_t slot, std::string_view bytes) {
  std::lock_guard lock(mutex_);
  if (faults_.full) return absl::ResourceExhaustedError("memory log: no space left");
  if (faults_.fail_puts > 0) {
    --faults_.fail_puts;
    return absl::UnavailableError("memory log: put failed");
  }
  if (!faults_.forget_unsynced) {
    synced_.reset();
  } else if (!synced_.has_value()) {
    synced_ = medium_;
  }
  const auto [held, added] = medium_.slots.emplace(slot, bytes);
  if (!added && held->second != bytes) {
    return absl::AlreadyExistsError("memory log: slot is taken");
  }
  const bool silent = faults_.silent_witness > 0;
  medium_.witness = std::max(medium_.witness.value_or(0), silent ? 0 : slot);
  if (silent || faults_.unknown_puts > 0) {
    --(silent ? faults_.silent_witness : faults_.unknown_puts);
    return absl::UnavailableError("memory log: no answer to the put");
  }
  if (!added) return absl::AlreadyExistsError("memory log: slot is taken");
  return absl::OkStatus();
}

absl::StatusOr<std::string> MemoryLogStore::Get(uint64_t slot) {
  std::lock_guard lock(mutex_);
  const auto found = medium_.slots.find(slot);
  if (found == medium_.slots.end()) return absl::NotFoundError("memory log: no such slot");
  return found->second;
}

absl::Status MemoryLogStore::DeleteUpTo(uint64_t slot) {
  std::lock_guard lock(mutex_);
  const auto erase = [slot](Medium& medium) {
    medium.slots.erase(medium.slots.begin(), medium.slots.upper_bound(slot));
  };
  erase(medium_);
  if (synced_.has_value()) erase(*synced_);
  return absl::OkStatus();
}

absl::Status MemoryLogStore::CutTail(uint64_t slot, std::string_view bytes) {
  std::lock_guard lock(mutex_);
  const auto found = medium_.slots.find(slot);
  if (found == medium_.slots.end() || found->second != bytes) return absl::OkStatus();
  medium_.slots.erase(found);
  if (synced_.has_value()) synced_->slots.erase(slot);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<uint64_t>> MemoryLogStore::DurableLength() {
  std::lock_guard lock(mutex_);
  return medium_.witness;
}

void MemoryLogStore::SetFaults(const LogStoreFaults& faults) {
  std::lock_guard lock(mutex_);
  faults_ = faults;
}

void MemoryLogStore::Crash() {
  std::lock_guard lock(mutex_);
  if (synced_.has_value()) medium_ = *std::exchange(synced_, std::nullopt);
}

void MemoryLogStore::Tear(uint64_t slot, std::string_view record, size_t bytes) {
  std::lock_guard lock(mutex_);
  medium_.slots[slot] = std::string(record.substr(0, bytes));
  synced_.reset();
}

bool MemoryLogStore::FlipBit(uint64_t slot, size_t bit) {
  std::lock_guard lock(mutex_);
  const auto found = medium_.slots.find(slot);
  if (found == medium_.slots.end() || bit / 8 >= found->second.size()) return false;
  found->second[bit / 8] ^= static_cast<char>(1 << (bit % 8));
  synced_.reset();
  return true;
}

void MemoryLogStore::Lose(uint64_t slot) {
  std::lock_guard lock(mutex_);
  medium_.slots.erase(slot);
  synced_.reset();
}

void MemoryLogStore::LoseWitness() {
  std::lock_guard lock(mutex_);
  medium_.witness.reset();
  synced_.reset();
}

}  // namespace sluice
