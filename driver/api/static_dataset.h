// Joins with a dataset that is no stream: a table that every process loads for itself, by version.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <optional>
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
    if (entry == nullptr) return false;
    for (uint32_t at = entry->value.first; at != kNone;) {
      Head head;
      std::memcpy(&head, values_.data() + at, sizeof head);
      f(std::string_view(values_.data() + at + sizeof head, head.size));
      at = head.next;
    }
    return true;
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
  CombineTable<Places> keys_;
  std::string values_;
};

// The versions that one process has loaded. The newest few are kept: batches are at most a few
// versions apart, and one that was dropped is loaded again. Thread-safe.
class StaticTables {
 public:
  using Load = std::function<std::shared_ptr<const StaticTable>(const std::string& version)>;
  explicit StaticTables(Load load);
  ~StaticTables();
  // Loads it in the calling task where it is not there; what loading throws fails the attempt.
  std::shared_ptr<const StaticTable> Of(std::string_view version);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace internal

// Made by StreamingContext::StaticDataset. A handle.
template <KeyRecord K, Record V>
class StaticDataset {
 public:
  StaticDataset(BatchValue<std::string> version, std::shared_ptr<internal::StaticTables> tables)
      : version_(version), tables_(std::move(tables)) {}

  // Of the batch at hand.
  std::shared_ptr<const internal::StaticTable> Table() const { return tables_->Of(*version_); }

 private:
  BatchValue<std::string> version_;
  std::shared_ptr<internal::StaticTables> tables_;
};

namespace internal {

// Makes the loader of encoded tables from load(version), which gives pairs (key, value).
template <class K, class V, class Load>
StaticTables::Load TableLoader(Load load) {
  return [load](const std::string& version) {
    auto table = std::make_shared<StaticTable>();
    for (const auto& [key, value] : load(version)) {
      std::string key_bytes, value_bytes;
      EncodeKey<K>(key, key_bytes);
      EncodeRecord<V>(value, value_bytes);
      table->Add(key_bytes, value_bytes);
    }
    return std::shared_ptr<const StaticTable>(std::move(table));
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
    std::string scratch;
    View<W> value{};
    chain.Drive(context, batches, [&](const auto& row) {
      const auto emit = [&](std::string_view bytes) {
        if (!DecodeRecord<W>(bytes, value)) ThrowBadRecord(RecordName<W>(), 0, bytes.size());
        sink(Out{row.first, {row.second, value}});
      };
      const bool known = table->ForEachValue(KeyBytes<K>(row.first, scratch), emit);
      if constexpr (kOuter) {
        if (!known) sink(Out{row.first, {row.second, std::nullopt}});
      }
    });
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
