// Tables on disk: attempts and layers. Walks are in disk_table_walks.cc, what is in the database in
// disk_table_base.cc.
#include "worker/executor/disk_table.h"

#include <algorithm>
#include <utility>

#include "common/key_hash.h"

namespace sluice {

uint32_t DiskTable::Find(std::string_view key, uint64_t hash) const {
  return index_.Find(hash, [&](uint32_t i) { return node(i).key.Equals(key); });
}

uint32_t DiskTable::NewNode(std::string_view key, uint64_t hash) {
  if (free_nodes_.empty()) {
    const uint32_t first = static_cast<uint32_t>(nodes_.size()) << kChunkBits;
    nodes_.push_back(std::make_unique<Node[]>(kChunk));
    for (uint32_t i = kChunk; i-- > 0;) free_nodes_.push_back(first + i);
  }
  const uint32_t index = free_nodes_.back();
  free_nodes_.pop_back();
  Node& n = node(index);
  n.hash = hash;
  n.key.Assign(key);
  n.base = Entry{};
  held_bytes_ += sizeof(Node) + key.size();
  index_.Insert(hash, index);
  return index;
}

void DiskTable::SetBase(Node& n, std::string_view value, const Entry& entry) {
  held_bytes_ -= n.value.size();
  n.value.Assign(value);
  held_bytes_ += value.size();
  n.base = entry;
}

// The key's node, with the base's entry.
uint32_t DiskTable::NodeOf(std::string_view key, uint64_t hash) {
  uint32_t index = Find(key, hash);
  if (index != kNone) return index;
  index = NewNode(key, hash);
  if (row_ != nullptr && row_->key == key) {
    SetBase(node(index), row_->value, row_->entry);
  } else if (base_entries_ > 0) {
    ++single_reads_;
    ReadNode(index);
  }
  return index;
}

void DiskTable::ReadNode(uint32_t index) {
  const std::string_view key = node(index).key.view();
  const std::string entry_key = KeyOf(kEntry, key);
  const std::string_view keys[] = {entry_key};
  MustBeOk(db_->GetMany(keys, [&](size_t, std::string_view bytes) {
    if (bytes.data() == nullptr) return;
    std::string_view value;
    const Entry entry = DecodeEntry(bytes, value);
    SetBase(node(index), value, entry);
  }));
}

void DiskTable::Fetch(std::span<const std::string_view> keys) {
  if (base_entries_ == 0) return;
  std::vector<uint32_t> fresh;
  std::string arena;
  std::vector<size_t> ends;
  for (const std::string_view key : keys) {
    const uint64_t hash = KeyHash(key);
    if (Find(key, hash) != kNone) continue;
    fresh.push_back(NewNode(key, hash));
    arena.append(prefix_).push_back(kEntry);
    arena.append(key);
    ends.push_back(arena.size());
  }
  std::vector<std::string_view> entry_keys;
  for (size_t i = 0; i < ends.size(); ++i) {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    entry_keys.push_back(std::string_view(arena).substr(begin, ends[i] - begin));
  }
  MustBeOk(db_->GetMany(entry_keys, [&](size_t place, std::string_view bytes) {
    if (bytes.data() == nullptr) return;
    std::string_view value;
    const Entry entry = DecodeEntry(bytes, value);
    SetBase(node(fresh[place]), value, entry);
  }));
}

// Forgets all entries that no layer has changed when they have become too many.
void DiskTable::EvictIfMany() {
  if (held_bytes_ <= cached_bytes_) return;
  held_bytes_ = 0;
  free_nodes_.clear();
  index_ = internal::SlotIndex();
  const auto count = static_cast<uint32_t>(nodes_.size() << kChunkBits);
  for (uint32_t i = count; i-- > 0;) {
    Node& n = node(i);
    if (n.head != nullptr) {
      held_bytes_ += sizeof(Node) + n.key.size() + n.value.size();
      index_.Insert(n.hash, i);
      continue;
    }
    n.key.Clear();
    n.value.Clear();
    free_nodes_.push_back(i);
  }
  if (free_nodes_.size() == count) {
    nodes_.clear();
    free_nodes_.clear();
  }
}

std::string_view DiskTable::Look(std::string_view key, uint64_t hash, Place& place) {
  const uint32_t index = NodeOf(key, hash);
  place = {.hash = hash, .slot = index, .known = true};
  Node& n = node(index);
  if (!Visible(n)) return {};
  if (InAttempt(n)) {
    n.head->doubtful = true;
    place.value = n.head->value.data();
  }
  return VisibleValue(n);
}

int64_t DiskTable::DueOf(std::string_view key) {
  const uint64_t hash = KeyHash(key);
  const bool at_row = row_ != nullptr && row_->key == key && Find(key, hash) == kNone;
  return at_row ? row_->entry.timer_ms : VisibleTimer(node(NodeOf(key, hash)));
}

void DiskTable::PutTimed(std::string_view key, std::string_view value, int64_t timer_ms) {
  PutIn(NodeOf(key, KeyHash(key)), value, timer_ms);
}

void DiskTable::PutAt(const Place& place, std::string_view key, std::string_view value,
                      int64_t timer_ms) {
  if (!place.known) return PutTimed(key, value, timer_ms);
  if (place.slot != kNone) return PutIn(place.slot, value, timer_ms);
  // A visited entry that nothing has changed before; often nothing does now.
  const bool at_row = row_ != nullptr && row_->key == key;
  if (at_row && row_->entry.timer_ms == timer_ms && row_->value == value &&
      Find(key, KeyHash(key)) == kNone) {
    return;
  }
  PutTimed(key, value, timer_ms);
}

void DiskTable::PutIn(uint32_t index, std::string_view value, int64_t timer_ms) {
  Node& n = node(index);
  if (!Visible(n)) {
    Version& version = InAttempt(n) ? *n.head : AddVersion(index, 0);
    version.removed = false;
    version.number = next_number_++;
    born_.emplace_back(version.number, index);
    ++visible_size_;
  } else if (InAttempt(n)) {
    n.head->doubtful = true;
  } else {
    if (VisibleTimer(n) == timer_ms && VisibleValue(n) == value) return;
    AddVersion(index, VisibleNumber(n));
  }
  n.head->value.Assign(value);
  n.head->timer_ms = timer_ms;
}

void DiskTable::Remove(std::string_view key) {
  const uint32_t index = NodeOf(key, KeyHash(key));
  Node& n = node(index);
  if (!Visible(n)) return;
  Version& version = InAttempt(n) ? *n.head : AddVersion(index, VisibleNumber(n));
  version.removed = true;
  version.doubtful = true;
  version.value.Clear();
  version.timer_ms = 0;
  --visible_size_;
}

// On top of the node's. What is in it is the caller's to fill.
DiskTable::Version& DiskTable::AddVersion(uint32_t index, uint64_t number) {
  Node& n = node(index);
  Version& version = AddRecord();
  version.older = std::exchange(n.head, &version);
  version.hash = n.hash;
  version.number = number;
  version.owner = index;
  version.layer = attempt_.serial;
  version.timer_ms = 0;
  version.removed = false;
  version.doubtful = false;
  return version;
}

void DiskTable::Unlink(Version& version) {
  Version** at = &node(version.owner).head;
  while (*at != &version) at = &(*at)->older;
  *at = version.older;
  version.owner = kNone;
  version.value.Clear();
}

// Whether the version differs from what lies below it.
bool DiskTable::IsChange(const Version& version) const {
  const Version* const below = version.older;
  const Node& n = node(version.owner);
  const bool there = below != nullptr ? !below->removed : n.base.live;
  if (version.removed || !there) return version.removed == there;
  if (below == nullptr) {
    return version.number != n.base.number || version.timer_ms != n.base.timer_ms ||
           version.value.view() != n.value.view();
  }
  return version.number != below->number || version.timer_ms != below->timer_ms ||
         version.value.view() != below->value.view();
}

// A removed key's number is that of the life that ended. One that was removed and put again counts
// once, as put.
LayerDigest DiskTable::Settle() {
  LayerDigest result;
  for (uint32_t i = 0; i < attempt_.count; ++i) {
    Version& version = attempt_.record(i);
    if (version.doubtful && !IsChange(version)) {
      Unlink(version);
      continue;
    }
    if (version.removed) {
      const Version* const below = version.older;
      version.number = below != nullptr ? below->number : node(version.owner).base.number;
    }
    result.digest += version.removed ? internal::RemovalDigest(version.hash)
                                     : internal::PutDigest(version.hash, version.value.view(),
                                                           version.timer_ms);
    ++result.entries;
  }
  ForgetUnborn();
  return result;
}

// Numbers of the attempt that no entry has in the end.
void DiskTable::ForgetUnborn() {
  const auto first = std::lower_bound(born_.begin(), born_.end(),
                                      std::pair(attempt_.first_number, uint32_t{0}));
  const auto last = std::remove_if(first, born_.end(), [this](const auto& born) {
    const Node& n = node(born.second);
    return !InAttempt(n) || n.head->removed || n.head->number != born.first;
  });
  born_.erase(last, born_.end());
}

void DiskTable::LayerDropped(uint64_t first_number) {
  while (!born_.empty() && born_.back().first >= first_number) born_.pop_back();
}

void DiskTable::LayersMerged(uint64_t end_number) {
  while (!born_.empty() && born_.front().first < end_number) born_.pop_front();
}

}  // namespace sluice
