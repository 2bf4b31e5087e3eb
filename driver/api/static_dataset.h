// Joins with a dataset that is no stream: a table that every process loads for itself, by version.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "driver/api/batch_value.h"
#include "driver/api/combine_table.h"
#include "driver/api/dstream.h"
#include "driver/api/map.h"

namespace sluice {
namespace internal {

// Canonical key bytes to the encoded values of the key, in the order of loading. Immutable once
// filled.
class StaticTable {
 public:
  // Throws std::length_error at 4 GiB of values.
  void Add(std::string_view key, std::string_view value);

  // f(encoded value) for each value of the key; false where the table does not have the key.
  template <class F>
  bool ForEachValue(std::string_view key, const F& f) const {
    const auto* entry = keys_.Find(key);
    if (entry != nullptr) ForEachValueOf(*entry, f);
    return entry != nullptr;
  }
  // The same for several short keys, whose memory is asked for at once: f(i, encoded value) for
  // each value of key i, or without(i).
  template <size_t kMost, class F, class G>
  void ForEachValueOfAll(std::span<const ShortKey> keys, const F& f, const G& without) const {
    Keys::Hashed hashed[kMost];
    const Keys::Entry* found[kMost];
    for (size_t i = 0; i < keys.size(); ++i) {
      hashed[i] = {keys[i], HashShortKey(keys[i])};
      if (keys_.large()) keys_.PrefetchSlot(hashed[i].hash);
    }
    for (size_t i = 0; i < keys.size() && keys_.large(); ++i) keys_.PrefetchEntry(hashed[i].hash);
    for (size_t i = 0; i < keys.size(); ++i) {
      found[i] = keys_.Find({}, hashed[i]);
      if (found[i] != nullptr) __builtin_prefetch(values_.data() + found[i]->value.first);
    }
    for (size_t i = 0; i < keys.size(); ++i) {
      if (found[i] == nullptr) without(i);
      else ForEachValueOf(*found[i], [&](std::string_view value) { f(i, value); });
    }
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Head {  // before each value
    uint32_t next = kNone;
    uint32_t size = 0;
  };
  struct Places {  // of a key's values
    uint32_t first = kNone;
    uint32_t last = kNone;
  };
  using Keys = CombineTable<Places>;
  template <class F>
  void ForEachValueOf(const Keys::Entry& entry, const F& f) const {
    for (uint32_t at = entry.value.first; at != kNone;) {
      Head head;
      std::memcpy(&head, values_.data() + at, sizeof head);
      f(std::string_view(values_.data() + at + sizeof head, head.size));
      at = head.next;
    }
  }

  Keys keys_;
  std::string values_;
};

// The versions that one process has loaded. The newest few are kept: batches are at most a few
// versions apart, and one that was dropped is loaded again. Thread-safe.
class StaticTables;
// Fills an empty table with the entries of a version.
using LoadTable = std::function<void(const std::string& version, StaticTable& table)>;
std::shared_ptr<StaticTables> MakeStaticTables(LoadTable load);
// Loads it in the calling task where it is not there; what loading throws fails the attempt.
std::shared_ptr<const StaticTable> TableOf(StaticTables& tables, std::string_view version);

}  // namespace internal

// Made by StreamingContext::StaticDataset. A handle.
template <KeyRecord K, Record V>
class StaticDataset {
 public:
  StaticDataset(BatchValue<std::string> version, std::shared_ptr<internal::StaticTables> tables)
      : version_(version), tables_(std::move(tables)) {}

  // Of the batch at hand.
  std::shared_ptr<const internal::StaticTable> Table() const {
    return internal::TableOf(*tables_, *version_);
  }

 private:
  BatchValue<std::string> version_;
  std::shared_ptr<internal::StaticTables> tables_;
};

namespace internal {

// Makes the loader of encoded tables from load(version), which gives pairs (key, value).
template <class K, class V, class Load>
LoadTable TableLoader(Load load) {
  return [load](const std::string& version, StaticTable& table) {
    for (const auto& [key, value] : load(version)) {
      std::string key_bytes, value_bytes;
      EncodeKey<K>(key, key_bytes);
      EncodeRecord<V>(value, value_bytes);
      table.Add(key_bytes, value_bytes);
    }
  };
}

// (key, (value of the row, value of the table)); with kOuter also rows whose key the table does not
// have, and the table's value is an optional.
template <class Chain, class K, class W, bool kOuter>
struct StaticJoinChain {
  using In = typename Chain::Out;
  using Key = std::remove_cvref_t<decltype(std::declval<const In&>().first)>;
  using Left = std::remove_cvref_t<decltype(std::declval<const In&>().second)>;
  using Right = std::conditional_t<kOuter, std::optional<View<W>>, View<W>>;
  using Out = std::pair<Key, std::pair<Left, Right>>;
  Chain chain;
  StaticDataset<K, W> dataset;

  template <class Sink>
  void Drive(const TaskContext& context, std::span<const BatchView> batches, Sink&& sink) const {
    const std::shared_ptr<const StaticTable> table = dataset.Table();
    if constexpr (kWaits) return DriveInPieces(*table, context, batches, sink);
    std::string scratch;
    View<W> value{};
    chain.Drive(context, batches, [&](const auto& row) {
      const bool known = table->ForEachValue(
          KeyBytes<K>(row.first, scratch),
          [&](std::string_view bytes) { Emit(row, bytes, value, sink); });
      if (!known) EmitWithout(row, sink);
    });
  }

 private:
  // Rows that own all they are, with a short key, wait for some others, so that the table is asked
  // for many at once.
  static constexpr size_t kPiece = 64;
  static constexpr bool kWaits =
      std::same_as<Own<In>, In> && std::is_trivially_copy_constructible_v<In> &&
      std::is_trivially_destructible_v<In> && std::default_initializable<In> &&
      std::is_copy_assignable_v<In> && sizeof(In) <= 64 && kFixedSize<K> != 0 &&
      kFixedSize<K> <= kShortKeyMax;

  template <class Sink>
  void DriveInPieces(const StaticTable& table, const TaskContext& context,
                     std::span<const BatchView> batches, Sink& sink) const {
    In rows[kPiece];
    ShortKey keys[kPiece];
    size_t count = 0;
    View<W> value{};
    const auto look_up = [&] {
      table.ForEachValueOfAll<kPiece>(
          {keys, count},
          [&](size_t i, std::string_view bytes) { Emit(rows[i], bytes, value, sink); },
          [&](size_t i) { EmitWithout(rows[i], sink); });
      count = 0;
    };
    chain.Drive(context, batches, [&](const auto& row) SLUICE_INLINED {
      char key[kWaits ? kFixedSize<K> : 1];
      RecordCodec<K>::template Write<true>(row.first, key);
      keys[count] = LoadKeyOfSize<sizeof key>(key);
      rows[count] = row;
      if (++count == kPiece) look_up();
    });
    look_up();
  }

  template <class Row, class Sink>
  static void Emit(const Row& row, std::string_view bytes, View<W>& value, Sink& sink) {
    if (!DecodeRecord<W>(bytes, value)) ThrowBadRecord(RecordName<W>(), 0, bytes.size());
    sink(Out{row.first, {row.second, value}});
  }
  template <class Row, class Sink>
  static void EmitWithout(const Row& row, Sink& sink) {
    if constexpr (kOuter) sink(Out{row.first, {row.second, std::nullopt}});
  }
};

template <class T, class Chain>
struct StaticJoins {
  template <bool kOuter, class K, class W>
  static auto Join(const DStream<T, Chain>& s, const StaticDataset<K, W>& dataset,
                   const char* label) {
    static_assert(PairRecord<T>, "a join needs a stream of pairs (key, value)");
    if constexpr (PairRecord<T>) {
      static_assert(std::same_as<KeyOf<T>, K>,
                    "a join needs a stream and a dataset with the same type of key");
      return Maps<T, Chain>::Extend(
          s, label, StaticJoinChain<Chain, K, W, kOuter>{StreamAccess::chain(s), dataset});
    }
  }
};

}  // namespace internal
}  // namespace sluice
