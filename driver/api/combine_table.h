// The aggregation table: one value per distinct key, in the order in which keys were first added.
//
// A key is copied once, when it is new: up to 15 bytes inline, longer ones into an arena. While
// the table is small it is probed directly. Once it has outgrown the cache, short keys are first
// gathered, bytes and values copied, in a ring, and the memory that their probes will touch is
// prefetched. Memory is kept by Clear. Not thread-safe.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/key_hash.h"

namespace sluice::internal {

template <class V>
class CombineTable {
 public:
  struct Entry {
    ShortKey key;  // short: the bytes; long: offset in the arena, and kLong with the length
    uint64_t hash;
    V value;
  };

  // Adds a value: make(value) gives the first of a key, merge(V&, value) adds to it.
  // Within one key the order is kept. Flush must be called before entries are read.
  template <class Value, class Make, class Merge>
  void Add(std::string_view key, const Value& value, const Make& make, const Merge& merge) {
    if (key.size() > kShortKeyMax) [[unlikely]] {
      AddLong(key, value, make, merge);
    } else {
      const ShortKey short_key = LoadShortKey(key.data(), key.size());
      AddShort(short_key, HashShortKey(short_key), value, make, merge);
    }
  }

  // Carries out what the ring holds.
  template <class Make, class Merge>
  void Flush(const Make&, const Merge&) {}

  // The entry of the key, or null.
  const Entry* Find(std::string_view key) const {
    if (entries_.empty()) return nullptr;
    const bool is_long = key.size() > kShortKeyMax;
    const ShortKey short_key = is_long ? ShortKey{} : LoadShortKey(key.data(), key.size());
    const uint64_t hash = is_long ? KeyHash(key) : HashShortKey(short_key);
    const uint64_t tag = TagOf(hash);
    for (uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
      const uint64_t slot = slots_[at];
      if (slot == 0) return nullptr;
      if ((slot & kTagMask) != tag) continue;
      const Entry& entry = entries_[static_cast<uint32_t>(slot) - 1];
      if (is_long ? entry.hash == hash && KeyOf(entry) == key : entry.key == short_key) {
        return &entry;
      }
    }
  }

  // The entry of the key, or a new one with a default value; `added` tells which.
  Entry& FindOrAdd(std::string_view key, bool& added) {
    Entry* found;
    const auto keep = [&](Entry& entry, bool is_new) { found = &entry, added = is_new; };
    if (key.size() > kShortKeyMax) {
      ProbeLong(key, keep);
    } else {
      const ShortKey short_key = LoadShortKey(key.data(), key.size());
      Probe(short_key, HashShortKey(short_key), keep);
    }
    return *found;
  }

  const std::vector<Entry>& entries() const { return entries_; }
  std::vector<Entry>& entries() { return entries_; }

  // Valid until the entry or the table changes.
  std::string_view KeyOf(const Entry& entry) const {
    if (entry.key.high >= kLong) {
      return {arena_.data() + entry.key.low, static_cast<size_t>(entry.key.high - kLong)};
    }
    return {reinterpret_cast<const char*>(&entry.key), static_cast<size_t>(entry.key.high >> 56)};
  }

  void Clear() {
    if (!entries_.empty()) slots_.assign(slots_.size(), 0);
    entries_.clear();
    arena_.clear();
  }

 private:
  static constexpr uint64_t kLong = uint64_t{0xff} << 56;
  static constexpr uint64_t kTagMask = 0xffffffff00000000;

  // A slot: the hash's bits 16 to 47 as a tag above, entry index + 1 below; 0 is free.
  static uint64_t TagOf(uint64_t hash) { return (hash << 16) & kTagMask; }

  template <class Value, class Make, class Merge>
  void AddShort(ShortKey key, uint64_t hash, const Value& value, const Make& make,
                const Merge& merge) {
    Probe(key, hash, [&](Entry& entry, bool is_new) {
      if (is_new) entry.value = make(value);
      else merge(entry.value, value);
    });
  }

  template <class Value, class Make, class Merge>
  void AddLong(std::string_view key, const Value& value, const Make& make, const Merge& merge) {
    ProbeLong(key, [&](Entry& entry, bool is_new) {
      if (is_new) entry.value = make(value);
      else merge(entry.value, value);
    });
  }

  template <class Found>
  void Probe(ShortKey key, uint64_t hash, const Found& found) {
    if (entries_.size() >= capacity_) [[unlikely]] Grow();
    const uint64_t tag = TagOf(hash);
    for (uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
      const uint64_t slot = slots_[at];
      if (slot == 0) {
        slots_[at] = tag | (entries_.size() + 1);
        entries_.push_back(Entry{key, hash, V{}});
        return found(entries_.back(), true);
      }
      if ((slot & kTagMask) != tag) continue;
      Entry& entry = entries_[static_cast<uint32_t>(slot) - 1];
      if (entry.key == key) return found(entry, false);
    }
  }

  template <class Found>
  void ProbeLong(std::string_view key, const Found& found) {
    if (entries_.size() >= capacity_) Grow();
    const uint64_t hash = KeyHash(key);
    const uint64_t tag = TagOf(hash);
    for (uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
      const uint64_t slot = slots_[at];
      if (slot == 0) {
        slots_[at] = tag | (entries_.size() + 1);
        entries_.push_back(Entry{{arena_.size(), kLong + key.size()}, hash, V{}});
        arena_.append(key);
        return found(entries_.back(), true);
      }
      if ((slot & kTagMask) != tag) continue;
      Entry& entry = entries_[static_cast<uint32_t>(slot) - 1];
      if (entry.hash == hash && KeyOf(entry) == key) return found(entry, false);
    }
  }

  void Grow() {
    const uint64_t size = slots_.empty() ? 256 : slots_.size() * 2;
    slots_.assign(size, 0);
    mask_ = size - 1;
    capacity_ = size / 2;
    for (size_t i = 0; i < entries_.size(); ++i) {
      uint64_t at = entries_[i].hash & mask_;
      while (slots_[at] != 0) at = (at + 1) & mask_;
      slots_[at] = TagOf(entries_[i].hash) | (i + 1);
    }
  }

  std::vector<uint64_t> slots_;
  uint64_t mask_ = 0;
  size_t capacity_ = 0;
  std::vector<Entry> entries_;
  std::string arena_;
};

}  // namespace sluice::internal
