// The aggregation table: one value per distinct key, in the order in which keys were first added.
//
// A key is copied once, when it is new: up to 15 bytes inline, longer ones into an arena. Keys that
// all have one size, of up to 16 bytes, are always inline. While the table is small it is probed
// directly. Once it has some thousand keys, inline ones are first gathered, bytes and values
// copied, in a ring, and the memory that their probes will touch is prefetched; whoever looks many
// keys up does the same with the steps of a look-up. Memory is kept by Clear. Not thread-safe.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/codec.h"
#include "common/key_hash.h"

namespace sluice::internal {

// Asks for huge pages behind a large array; a hint only.
void AdviseHugePages(void* memory, size_t size);
// Makes it an array of so many zeros, in huge pages where it is large.
void MakeSlots(std::vector<uint64_t>& slots, uint64_t size);
void ClearSlots(std::vector<uint64_t>& slots);

// kKeySize: of every key, at most 16; 0: keys of any size.
template <class V, uint32_t kKeySize = 0>
class CombineTable {
 public:
  struct Entry {
    ShortKey key;  // short: the bytes; long: offset in the arena, and kLong with the length
    uint64_t hash;
    V value;
  };
  // What a look-up needs of a key's bytes. Of a long one it says only that: `key` is {0, kLong}.
  struct Hashed {
    ShortKey key;
    uint64_t hash;
  };
  static Hashed HashedOf(std::string_view key) {
    if constexpr (kKeySize != 0) {
      const ShortKey words = LoadKeyOfSize<kKeySize>(key.data());
      return {words, HashKeyOfSize<kKeySize>(words)};
    } else if (key.size() > kShortKeyMax) {
      return {{0, kLong}, KeyHash(key)};
    } else {
      const ShortKey words = LoadShortKey(key.data(), key.size());
      return {words, HashShortKey(words)};
    }
  }

  // Adds a value: make(value) gives the first of a key, merge(V&, value) adds to it.
  // Within one key the order is kept. Flush must be called before entries are read.
  template <class Value, class Make, class Merge>
  void Add(std::string_view key, const Value& value, const Make& make, const Merge& merge) {
    const Hashed hashed = HashedOf(key);
    if (IsLong(hashed)) [[unlikely]] {
      bool added;
      Entry& entry = FindOrAddLong(key, hashed.hash, added);
      return Apply(value, make, merge)(entry, added);
    }
    if constexpr (kRinged && std::same_as<Value, V>) {
      if (large_) return AddToRing(hashed, value, make, merge);
    }
    Probe(hashed, Apply(value, make, merge));
  }

  // Carries out what the ring holds.
  template <class Make, class Merge>
  void Flush(const Make& make, const Merge& merge) {
    if constexpr (kRinged) {
      const uint64_t held = ring_next_ < kRingSize ? ring_next_ : kRingSize;
      for (uint64_t i = ring_next_ - held; i < ring_next_; ++i) {
        const Waiting& waiting = ring_[i % kRingSize];
        Probe(waiting.key, Apply(waiting.value, make, merge));
      }
      ring_next_ = 0;
    }
  }

  // The entry of the key, or null.
  const Entry* Find(std::string_view key) const { return Find(key, HashedOf(key)); }
  // `hashed` is HashedOf(key).
  const Entry* Find(std::string_view key, const Hashed& hashed) const {
    if (entries_.empty()) return nullptr;
    for (uint64_t at = hashed.hash & mask_; slots_[at] != 0; at = (at + 1) & mask_) {
      if ((slots_[at] & kTagMask) != TagOf(hashed.hash)) continue;
      const Entry& entry = entries_[IndexOf(slots_[at])];
      if (IsLong(hashed) ? entry.hash == hashed.hash && KeyOf(entry) == key
                         : entry.key == hashed.key) {
        return &entry;
      }
    }
    return nullptr;
  }

  // The entry of the key, or a new one with a default value; `added` tells which.
  Entry& FindOrAdd(std::string_view key, bool& added) {
    return FindOrAdd(key, HashedOf(key), added);
  }
  Entry& FindOrAdd(std::string_view key, const Hashed& hashed, bool& added) {
    if (IsLong(hashed)) return FindOrAddLong(key, hashed.hash, added);
    Entry* found;
    Probe(hashed, [&](Entry& entry, bool is_new) { found = &entry, added = is_new; });
    return *found;
  }

  // Asking for the memory of a look-up ahead of it, in two steps with other work between; of use
  // where the table is large. Inlined by all means: to GCC a function that only prefetches has no
  // effect, and it leaves out the call.
  bool large() const { return large_; }
  [[gnu::always_inline]] void PrefetchSlot(uint64_t hash) const {
    __builtin_prefetch(&slots_[hash & mask_]);
  }
  [[gnu::always_inline]] void PrefetchEntry(uint64_t hash) const {
    const uint64_t slot = slots_[hash & mask_];
    if (slot != 0) __builtin_prefetch(&entries_[IndexOf(slot)]);
  }

  const std::vector<Entry>& entries() const { return entries_; }

  // Valid until the entry or the table changes.
  std::string_view KeyOf(const Entry& entry) const {
    if constexpr (kKeySize != 0) return {reinterpret_cast<const char*>(&entry.key), kKeySize};
    if (entry.key.high >= kLong) {
      return {arena_.data() + entry.key.low, static_cast<size_t>(entry.key.high - kLong)};
    }
    return {reinterpret_cast<const char*>(&entry.key), static_cast<size_t>(entry.key.high >> 56)};
  }

  void Clear() {
    if (entries_.size() < slots_.size() / 16) {
      for (size_t i = 0; i < entries_.size(); ++i) FreeSlotOf(i);
    } else {
      ClearSlots(slots_);
    }
    entries_.clear();
    arena_.clear();
    ring_next_ = 0;
    large_ = false;
  }

 private:
  static constexpr uint64_t kLong = uint64_t{0xff} << 56;
  static constexpr uint64_t kTagMask = 0xffffffff00000000;
  // Entries from which on the ring pays: it also hides what a mispredicted probe would cost, so it
  // wins well before the table has left the cache (measured by bench/kernels_bench).
  static constexpr size_t kLargeEntries = 1 << 11;
  static constexpr uint64_t kRingSize = 32;
  static constexpr bool kRinged = std::is_trivially_copyable_v<V> && sizeof(V) <= 16;

  struct Waiting {
    Hashed key;
    std::conditional_t<kRinged, V, char> value;
  };

  static constexpr bool IsLong(const Hashed& hashed) {
    return kKeySize == 0 && hashed.key.high == kLong;
  }
  // A slot: the hash's bits 16 to 47 as a tag above, entry index + 1 below; 0 is free.
  static uint64_t TagOf(uint64_t hash) { return (hash << 16) & kTagMask; }
  static uint32_t IndexOf(uint64_t slot) { return static_cast<uint32_t>(slot) - 1; }

  template <class Value, class Make, class Merge>
  static auto Apply(const Value& value, const Make& make, const Merge& merge) {
    return [&](Entry& entry, bool is_new) {
      if (is_new) entry.value = make(value);
      else merge(entry.value, value);
    };
  }

  // A key waits for kRingSize others: its slot is fetched at once, its entry half way.
  template <class Make, class Merge>
  void AddToRing(const Hashed& key, const V& value, const Make& make, const Merge& merge) {
    Waiting& place = ring_[ring_next_ % kRingSize];
    if (ring_next_ >= kRingSize) Probe(place.key, Apply(place.value, make, merge));
    place = {key, value};
    PrefetchSlot(key.hash);
    if (ring_next_ >= kRingSize / 2) {
      PrefetchEntry(ring_[(ring_next_ - kRingSize / 2) % kRingSize].key.hash);
    }
    ++ring_next_;
  }

  template <class Found>
  void Probe(const Hashed& key, const Found& found) {
    if (entries_.size() >= capacity_) [[unlikely]] Grow();
    const uint64_t tag = TagOf(key.hash);
    for (uint64_t at = key.hash & mask_;; at = (at + 1) & mask_) {
      const uint64_t slot = slots_[at];
      if (slot == 0) return found(Insert(at, key.key, key.hash), true);
      if ((slot & kTagMask) != tag) continue;
      Entry& entry = entries_[IndexOf(slot)];
      if (entry.key == key.key) return found(entry, false);
    }
  }

  Entry& FindOrAddLong(std::string_view key, uint64_t hash, bool& added) {
    if (entries_.size() >= capacity_) Grow();
    const uint64_t tag = TagOf(hash);
    for (uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
      const uint64_t slot = slots_[at];
      if (slot == 0) {
        const ShortKey place{arena_.size(), kLong + key.size()};
        arena_.append(key);
        added = true;
        return Insert(at, place, hash);
      }
      if ((slot & kTagMask) != tag) continue;
      Entry& entry = entries_[IndexOf(slot)];
      added = false;
      if (entry.hash == hash && KeyOf(entry) == key) return entry;
    }
  }

  Entry& Insert(uint64_t at, const ShortKey& key, uint64_t hash) {
    slots_[at] = TagOf(hash) | (entries_.size() + 1);
    Entry& entry = entries_.emplace_back();  // filled where it lies: a copy waits for its stores
    entry.key = key;
    entry.hash = hash;
    if (entries_.size() == kLargeEntries) large_ = true;
    return entry;
  }

  void FreeSlotOf(size_t index) {
    uint64_t at = entries_[index].hash & mask_;
    while (IndexOf(slots_[at]) != index) at = (at + 1) & mask_;
    slots_[at] = 0;
  }

  void Grow() {
    const uint64_t size = slots_.empty() ? 256 : slots_.size() * 2;
    MakeSlots(slots_, size);
    mask_ = size - 1;
    capacity_ = size / 2;
    entries_.reserve(capacity_);
    AdviseHugePages(entries_.data(), capacity_ * sizeof(Entry));
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
  bool large_ = false;
  uint64_t ring_next_ = 0;  // keys that have entered the ring since the last Flush
  Waiting ring_[kRinged ? kRingSize : 1];
};

// For keys of type K.
template <class K, class V>
using KeyTable = CombineTable<V, RecordCodec<K>::kFixedSize <= 16 ? RecordCodec<K>::kFixedSize : 0>;

}  // namespace sluice::internal
