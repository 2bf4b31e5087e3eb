// A table of pairs, fed with batches and written as one.
#pragma once

#include "driver/api/kernels.h"

namespace sluice::internal {

// A table of pairs, and its forms as a record batch. The ground of windowed reduces.
template <class K, class V, class F>
class PairTable {
 public:
  explicit PairTable(F f) : fold_(std::move(f)), records_(kFixedSize<std::pair<K, V>>) {}

  void Clear() { table_.Clear(); }
  // Folds pairs in, behind what is there. Flush before reading.
  void Fold(const BatchView& pairs) {
    ForEachPair<K, V>(pairs,
                      [&](std::string_view key, const View<V>& value) { Fold(key, value); });
  }
  template <class Row>
  void Fold(std::string_view key, const Row& value) {
    table_.Add(key, value, Make(), Merge());
  }
  void Flush() { table_.Flush(Make(), Merge()); }

  // After Flush.
  void WriteTo(RecordBatch& out) const {
    for (const auto& entry : table_.entries()) {
      PutPair<K, V>(table_.KeyOf(entry), entry.value, out);
    }
  }
  const RecordBatch& AsRecords() {
    records_.Clear();
    WriteTo(records_);
    return records_;
  }
  const KeyTable<K, V>& table() const { return table_; }
  Folder<V, F>& folder() { return fold_; }

 private:
  static auto Make() {
    return [](const auto& row) { return ToOwned(row); };
  }
  auto Merge() {
    return [this](V& total, const auto& row) { fold_.Add(total, row); };
  }

  Folder<V, F> fold_;
  KeyTable<K, V> table_;
  RecordBatch records_;
};

}  // namespace sluice::internal
