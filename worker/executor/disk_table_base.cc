// Tables on disk: what is in the database, how layers get there, and checkpoints of it.
#include <algorithm>
#include <bit>
#include <cstring>

#include "checkpoint/state_part.h"
#include "common/ascending_order.h"
#include "common/key_hash.h"
#include "worker/executor/disk_table.h"

namespace sluice {

namespace {

constexpr uint64_t kMarksMany = 4096;

template <class Number>
void AppendBigEndian(Number value, std::string& out) {
  for (int shift = 8 * (sizeof(Number) - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift));
  }
}

// Without those that are zero at its end, in this machine's order.
uint32_t BytesOf(uint64_t number) { return (64 - std::countl_zero(number) + 7) / 8; }

// Short, as every key has it: how many bytes the number has, and these.
std::string TablePrefix(uint32_t number) {
  std::string bytes;
  AppendBigEndian(number, bytes);
  const uint32_t count = BytesOf(number);
  return static_cast<char>(count) + bytes.substr(bytes.size() - count);
}

}  // namespace

DiskTable::DiskTable(SortedDb* db, uint32_t number, uint64_t cached_bytes, uint64_t part_bytes)
    : db_(db),
      prefix_(TablePrefix(number)),
      cached_bytes_(cached_bytes),
      part_bytes_(part_bytes),
      batch_(db->NewBatch()),
      entry_key_(KeyOf(kEntry)) {}

DiskTable::~DiskTable() { (void)db_->DropPrefix(prefix_); }

std::string DiskTable::KeyOf(Kind kind, std::string_view rest) const {
  std::string key;
  key.reserve(prefix_.size() + 1 + rest.size());
  key.append(prefix_).push_back(kind);
  key.append(rest);
  return key;
}

// Valid until the next call.
std::string_view DiskTable::EntryKey(std::string_view key) {
  entry_key_.resize(prefix_.size() + 1);
  return entry_key_.append(key);
}

std::string DiskTable::OrderKey(uint64_t number) const {
  std::string key = KeyOf(kOrder);
  AppendBigEndian(number, key);
  return key;
}

// Times may be negative.
std::string DiskTable::DueKey(int64_t timer_ms, uint64_t number) const {
  std::string key = KeyOf(kDue);
  AppendBigEndian(static_cast<uint64_t>(timer_ms) ^ uint64_t{1} << 63, key);
  AppendBigEndian(number, key);
  return key;
}

std::string DiskTable::MarkPrefix(uint32_t epoch) const {
  std::string key = KeyOf(kMark);
  AppendBigEndian(epoch, key);
  return key;
}

// What is small there is short: nobody else reads it, so the lengths are in the first byte, four
// bits for the number and three for the epoch, and one that says whether there is a due time.
void DiskTable::EncodeEntry(const Entry& entry, std::string_view value, std::string& out) {
  const uint32_t number_bytes = BytesOf(entry.number), epoch_bytes = BytesOf(entry.epoch);
  out.clear();
  out.push_back(static_cast<char>(number_bytes | epoch_bytes << 4 |
                                  uint32_t{entry.timer_ms != 0} << 7));
  out.append(reinterpret_cast<const char*>(&entry.number), number_bytes);
  out.append(reinterpret_cast<const char*>(&entry.epoch), epoch_bytes);
  if (entry.timer_ms != 0) out.append(reinterpret_cast<const char*>(&entry.timer_ms), 8);
  out.append(value);
}

DiskTable::Entry DiskTable::DecodeEntry(std::string_view bytes, std::string_view& value) {
  Entry entry;
  entry.live = true;
  const auto first = static_cast<unsigned char>(bytes[0]);
  const char* at = bytes.data() + 1;
  const auto take = [&](void* to, size_t count) {
    std::memcpy(to, at, count);
    at += count;
  };
  take(&entry.number, first & 15);
  take(&entry.epoch, first >> 4 & 7);
  if (first >> 7 != 0) take(&entry.timer_ms, 8);
  value = bytes.substr(static_cast<size_t>(at - bytes.data()));
  return entry;
}

bool DiskTable::Ok(const absl::Status& status) {
  if (error_.empty() && !status.ok()) error_ = std::string(status.message());
  return error_.empty();
}

void DiskTable::MustBeOk(const absl::Status& status) {
  if (!Ok(status)) throw StateLost(error_);
}

void DiskTable::WriteIfLarge(uint64_t most) {
  if (batch_->bytes() > most && error_.empty()) Ok(db_->Apply(*batch_));
}

// ---- layers ----------------------------------------------------------------------------------

// Entries and marks in the order of keys, which the database takes with the least work; what goes
// by number in the order of the layer, in which new numbers ascend.
void DiskTable::MergeLayer(Layer& layer) {
  std::vector<Version*> versions;
  std::vector<std::string_view> keys;
  for (uint32_t i = 0; i < layer.count; ++i) {
    Version& version = layer.record(i);
    if (version.owner == kNone) continue;
    versions.push_back(&version);
    keys.push_back(node(version.owner).key.view());
  }
  const std::vector<uint32_t> order = AscendingOrder(keys);
  for (const uint32_t i : order) {
    const Version& version = *versions[i];
    if (version.removed) {
      batch_->Remove(EntryKey(keys[i]));
    } else {
      EncodeEntry({version.number, version.timer_ms, epoch_, true}, version.value.view(), encoded_);
      batch_->Put(EntryKey(keys[i]), encoded_);
    }
    WriteIfLarge();
  }
  std::vector<bool> marks(versions.size());
  for (size_t i = 0; i < versions.size(); ++i) {
    marks[i] = MergeVersion(*versions[i]);
    WriteIfLarge();
  }
  std::string mark = MarkPrefix(epoch_);
  const size_t prefix_bytes = mark.size();
  for (const uint32_t i : order) {
    if (!marks[i]) continue;
    mark.resize(prefix_bytes);
    batch_->Put(mark.append(keys[i]), {});
    ++marks_;
    WriteIfLarge();
  }
  WriteIfLarge(0);
}

// The version is the oldest of its node, and is in the database by its key. What does not change of
// the rest is not written. Returns whether it lacks the mark.
bool DiskTable::MergeVersion(Version& version) {
  Node& n = node(version.owner);
  const Entry before = n.base;
  Entry after{version.number, version.timer_ms, epoch_, !version.removed};
  const bool same_life = before.live && after.live && before.number == after.number;
  const std::string_view key = n.key.view();
  if (before.live) {
    base_bytes_ -= EncodedBytes(key.size(), n.value.size());
    --base_entries_;
    if (!same_life) batch_->Remove(OrderKey(before.number));
    if (before.timer_ms != 0 && !(same_life && before.timer_ms == after.timer_ms)) {
      batch_->Remove(DueKey(before.timer_ms, before.number));
    }
  }
  const bool marked = before.epoch == epoch_;
  if (marked) pending_bytes_ -= EncodedBytes(key.size(), n.value.size());
  if (after.live) {
    base_bytes_ += EncodedBytes(key.size(), version.value.size());
    ++base_entries_;
    if (!same_life) batch_->Put(OrderKey(after.number), key);
    if (after.timer_ms != 0 && !(same_life && before.timer_ms == after.timer_ms)) {
      batch_->Put(DueKey(after.timer_ms, after.number), key);
      due_from_ms_ = std::min(due_from_ms_, after.timer_ms);
    }
  }
  pending_bytes_ += EncodedBytes(key.size(), version.value.size());
  SetBase(n, version.value.view(), after);
  Unlink(version);
  return !marked;
}

// ---- checkpoints -----------------------------------------------------------------------------

// How many objects of a checkpoint entries of so many bytes fill (PartWriter).
uint32_t DiskTable::PartsOf(uint64_t bytes, uint64_t entries) const {
  return 1 + static_cast<uint32_t>((bytes + entries * sizeof(StateEntry)) / part_bytes_);
}

uint64_t DiskTable::BeginSnapshot() {
  RestorePending();  // of a checkpoint that nobody ended
  snapshot_ = StateSnapshot{};
  snapshot_.whole = WritesAll(marks_ > 0, PartsOf(base_bytes_, base_entries_));
  writing_epoch_ = epoch_++;
  writing_marks_ = std::exchange(marks_, 0);
  writing_bytes_ = std::exchange(pending_bytes_, 0);
  snapshot_status_ = absl::OkStatus();
  snapshot_reads_ = db_->Snapshot();
  snapshot_walk_ = snapshot_reads_->Walk(
      snapshot_.whole ? KeyOf(kEntry) : MarkPrefix(writing_epoch_), {});
  return snapshot_.whole ? base_entries_ : writing_marks_;
}

bool DiskTable::VisitSome(uint32_t count, const EntryVisitor& visit) {
  const auto tell = [&](const StateRow& row) {
    visit(row);
    ++snapshot_.entries;
    snapshot_.bytes += EncodedBytes(row.key.size(), row.value.size());
  };
  std::vector<std::string> entry_keys;
  std::string_view key, bytes, value;
  uint32_t seen = 0;
  for (; seen < count && snapshot_walk_->Next(key, bytes); ++seen) {
    if (snapshot_.whole) {
      const Entry entry = DecodeEntry(bytes, value);
      tell({key, value, entry.number, entry.timer_ms, false});
    } else {
      entry_keys.push_back(KeyOf(kEntry, key));
    }
  }
  if (!snapshot_walk_->status().ok()) return true;  // which EndSnapshot says
  if (!entry_keys.empty()) {
    const std::vector<std::string_view> keys(entry_keys.begin(), entry_keys.end());
    snapshot_status_ = snapshot_reads_->GetMany(keys, [&](size_t i, std::string_view found) {
      const std::string_view key = keys[i].substr(prefix_.size() + 1);
      if (found.data() == nullptr) return tell({key, {}, 0, 0, true});
      const Entry entry = DecodeEntry(found, value);
      tell({key, value, entry.number, entry.timer_ms, false});
    });
    if (!snapshot_status_.ok()) return true;
  }
  return seen < count;
}

StateSnapshot DiskTable::EndSnapshot() {
  if (snapshot_walk_ != nullptr) Ok(snapshot_walk_->status());
  Ok(snapshot_status_);
  snapshot_walk_.reset();
  snapshot_reads_.reset();
  snapshot_.written = snapshot_.entries > 0 || (has_sealed_ && writing_marks_ > 0);
  return snapshot_;
}

bool DiskTable::ForgetSome(uint32_t) {
  CountSealed(PartsOf(snapshot_.bytes, snapshot_.entries));
  if (writing_epoch_ != 0 && error_.empty()) DropMarks(MarkPrefix(writing_epoch_));
  writing_epoch_ = 0;
  return true;
}

// A range that is dropped costs every read a little until the database has tidied up: few marks are
// removed one by one.
void DiskTable::DropMarks(const std::string& prefix) {
  if (writing_marks_ > kMarksMany) return (void)Ok(db_->DropPrefix(prefix));
  const auto walk = db_->Walk(prefix, {});
  std::string_view key, nothing;
  while (walk->Next(key, nothing)) batch_->Remove(std::string(prefix).append(key));
  if (Ok(walk->status())) WriteIfLarge(0);
}

// Its marks become those of the present epoch.
void DiskTable::RestorePending() {
  snapshot_walk_.reset();
  snapshot_reads_.reset();
  snapshot_ = StateSnapshot{};
  if (writing_epoch_ == 0) return;
  const std::string from = MarkPrefix(writing_epoch_);
  const std::string to = MarkPrefix(epoch_);
  writing_epoch_ = 0;
  if (!error_.empty()) return;
  const auto walk = db_->Walk(from, {});
  std::string_view key, nothing;
  while (error_.empty() && walk->Next(key, nothing)) {
    batch_->Put(std::string(to).append(key), {});
    WriteIfLarge();
  }
  WriteIfLarge(0);
  if (Ok(walk->status())) DropMarks(from);
  marks_ += writing_marks_;
  pending_bytes_ += writing_bytes_;
}

// ---- restore ---------------------------------------------------------------------------------

// Blind: what an older part has is written over. The rest follows when all is there.
void DiskTable::Restore(const StateRow& entry, uint32_t epoch) {
  if (entry.removed) {
    batch_->Remove(EntryKey(entry.key));
  } else {
    EncodeEntry({entry.number, entry.timer_ms, epoch, true}, entry.value, encoded_);
    batch_->Put(EntryKey(entry.key), encoded_);
  }
  WriteIfLarge();
}

void DiskTable::RestoreEntry(const StateRow& entry) {
  Restore(entry, 0);
  restored_bytes_ += EncodedBytes(entry.key.size(), entry.value.size());
}

void DiskTable::RestoreChange(const StateRow& entry) {
  Restore(entry, epoch_);
  batch_->Put(MarkPrefix(epoch_).append(entry.key), {});
  ++marks_;
  pending_bytes_ += EncodedBytes(entry.key.size(), entry.value.size());
  highest_number_ = std::max(highest_number_, entry.number);
}

void DiskTable::FinishRestore(uint32_t parts) {
  WriteIfLarge(0);
  if (!error_.empty()) return;
  const auto walk = db_->Walk(KeyOf(kEntry), {});
  std::string_view key, bytes, value;
  while (error_.empty() && walk->Next(key, bytes)) {
    const Entry entry = DecodeEntry(bytes, value);
    ++base_entries_;
    base_bytes_ += EncodedBytes(key.size(), value.size());
    highest_number_ = std::max(highest_number_, entry.number);
    batch_->Put(OrderKey(entry.number), key);
    if (entry.timer_ms != 0) batch_->Put(DueKey(entry.timer_ms, entry.number), key);
    due_from_ms_ = std::min(due_from_ms_, entry.timer_ms);
    WriteIfLarge();
  }
  if (Ok(walk->status())) WriteIfLarge(0);
  visible_size_ = base_entries_;
  CountRestored(parts);
  next_number_ = highest_number_ + 1;
}

}  // namespace sluice
