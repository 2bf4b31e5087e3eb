// What shuffling operators run on the map side: fused chains that end in one share per partition.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "common/key_hash.h"
#include "common/plan/key_groups.h"
#include "driver/api/chain.h"
#include "driver/api/combine_table.h"
#include "driver/api/rows.h"

namespace sluice::internal {

// Makes kernels or operators with a function.
template <class Base, class Make>
class FunctionFactory final : public Base {
 public:
  explicit FunctionFactory(Make make) : make_(std::move(make)) {}
  auto New() const -> decltype(std::declval<const Base&>().New()) override { return make_(); }

 private:
  const Make make_;
};
template <class Base, class Make>
auto MakeFactory(Make make) {
  return Adopt(new FunctionFactory<Base, Make>(std::move(make)));
}
// Of kernels or operators of type Made, from copies of the same arguments.
template <class Made, class... Args>
std::shared_ptr<const ShuffleKernelFactory> MakeShuffle(Args... args) {
  return MakeFactory<ShuffleKernelFactory>([... args = std::move(args)] {
    return std::unique_ptr<ShuffleKernel>(new Made(args...));
  });
}
template <class Made, class... Args>
std::shared_ptr<const PartitionOperatorFactory> MakeOperator(Args... args) {
  return MakeFactory<PartitionOperatorFactory>([... args = std::move(args)] {
    return std::unique_ptr<PartitionOperator>(new Made(args...));
  });
}

// The shares of one task, one batch per partition, reused from task to task; and which partition a
// key belongs to.
class Shares {
 public:
  void Start(const TaskContext& context, uint32_t partitions, uint32_t fixed_size);
  // By the canonical bytes of a key and their hash.
  RecordBatch& OfKey(std::string_view key, uint64_t hash) {
    if (partitioner_ != nullptr) [[unlikely]] {
      return batches_[partitioner_->PartitionOf(key, partitions_)];
    }
    return batches_[PartitionOfHash(hash)];
  }
  bool by_hash() const { return partitioner_ == nullptr; }
  uint32_t PartitionOfHash(uint64_t hash) const {
    return partition_of_group_[KeyGroupOf(hash, key_groups_)];
  }
  RecordBatch& operator[](size_t partition) { return batches_[partition]; }
  std::span<const RecordBatch> get() const;
  uint32_t partitions() const { return partitions_; }

 private:
  std::vector<RecordBatch> batches_;
  std::vector<uint32_t> partition_of_group_;
  uint32_t partitions_ = 0;
  uint32_t key_groups_ = 0;
  const KeyPartitioner* partitioner_ = nullptr;
};

// Appends rows of one size to shares.
template <uint32_t kSize>
class ShareAppenders {
 public:
  void Open(Shares& shares) {
    appenders_.resize(shares.partitions());
    for (uint32_t p = 0; p < shares.partitions(); ++p) appenders_[p].Open(shares[p]);
  }
  RowAppender<kSize>& operator[](size_t partition) { return appenders_[partition]; }
  void Close() {
    for (auto& appender : appenders_) appender.Close();
  }

 private:
  std::vector<RowAppender<kSize>> appenders_;
};

// A function that can be asked whether it takes a row that is not of its own type. A generic one
// can not: to ask would be to compile its body, which may be for values only.
template <class F>
concept SaysWhatItTakes = !std::is_class_v<F> || requires { &F::operator(); } ||
                          requires { typename F::is_transparent; };
template <class F, class V, class R>
concept FoldsRow = SaysWhatItTakes<F> && requires(const F& f, const V& total, const R& row) {
  { f(total, row) } -> std::convertible_to<V>;
};

// A reduce function over values of type V, fed with rows that may be views of V.
template <class V, class F>
class Folder {
 public:
  explicit Folder(F f) : f_(std::move(f)) {}

  template <class R>
  void Add(V& total, const R& row) {
    if constexpr (std::same_as<V, R> || FoldsRow<F, V, R>) {
      if constexpr (std::is_member_pointer_v<F>) total = std::invoke(f_, std::as_const(total), row);
      else total = f_(std::as_const(total), row);
    } else {
      AssignOwned(scratch_, row);
      Add(total, scratch_);
    }
  }

 private:
  const F f_;
  V scratch_{};
};

// Appends a pair of a text and `size` bytes, 16 at most.
void PutTextPair(std::string_view key, const char* value, size_t size, RecordBatch& out);

// Appends a pair whose key is given by its canonical bytes.
template <class K, class V, class Row>
void PutPair(std::string_view key, const Row& value, RecordBatch& out) {
  if constexpr (Number<K> && Number<V>) {
    char bytes[sizeof(K) + sizeof(V)];
    const V number = value;
    std::memcpy(bytes, key.data(), sizeof(K));
    std::memcpy(bytes + sizeof(K), &number, sizeof(V));
    out.bytes().append(bytes, sizeof(bytes));
    return CloseRecord(out);
  }
  if constexpr (std::same_as<K, std::string> && Number<V>) {
    const V number = value;
    char bytes[sizeof(V)];
    std::memcpy(bytes, &number, sizeof(V));
    return PutTextPair(key, bytes, sizeof(V), out);
  }
  PutKeyField<K>(key, out.bytes());
  RecordCodec<V>::template Put<false>(value, out.bytes());
  CloseRecord(out);
}

// How a row becomes a key and a value.
struct PairSplit {
  template <class R>
  static const auto& Key(const R& row) { return row.first; }
  template <class R>
  static const auto& Value(const R& row) { return row.second; }
};
struct CountSplit {
  template <class R>
  static const R& Key(const R& row) { return row; }
  template <class R>
  static int64_t Value(const R&) { return 1; }
};

// Combines by key within the task; shares hold the pairs in the order of the keys' first rows.
template <class Chain, class Split, class K, class V, class F>
class CombineKernel final : public ShuffleKernel {
 public:
  CombineKernel(Chain chain, F f) : chain_(std::move(chain)), fold_(std::move(f)) {}

  void Run(const TaskContext& context, std::span<const BatchView> input,
           uint32_t partitions) override {
    table_.Clear();
    const auto make = [](const auto& row) { return ToOwned(row); };
    const auto merge = [this](V& total, const auto& row) { fold_.Add(total, row); };
    chain_.Drive(context, input, [&](const auto& row) {
      table_.Add(KeyBytes<K>(Split::Key(row), scratch_), Split::Value(row), make, merge);
    });
    table_.Flush(make, merge);
    shares_.Start(context, partitions, kFixedSize<std::pair<K, V>>);
    for (const auto& entry : table_.entries()) {
      const std::string_view key = table_.KeyOf(entry);
      PutPair<K, V>(key, entry.value, shares_.OfKey(key, entry.hash));
    }
  }
  std::span<const RecordBatch> shares() const override { return shares_.get(); }
  std::string TakeShare(uint32_t partition) override { return shares_[partition].TakeEncoded(); }

 private:
  Chain chain_;
  Folder<V, F> fold_;
  KeyTable<K, V> table_;
  Shares shares_;
  std::string scratch_;
};

// Sends each pair to the partition of its key, in order.
template <class Chain, class K, class V>
class RouteByKeyKernel final : public ShuffleKernel {
 public:
  explicit RouteByKeyKernel(Chain chain) : chain_(std::move(chain)) {}

  void Run(const TaskContext& context, std::span<const BatchView> input,
           uint32_t partitions) override {
    shares_.Start(context, partitions, kFixedSize<std::pair<K, V>>);
    if constexpr (kRows) {
      if (shares_.by_hash()) return RunRows(context, input);
    }
    chain_.Drive(context, input, [&](const auto& row) {
      const std::string_view key = KeyBytes<K>(row.first, scratch_);
      PutPair<K, V>(key, row.second, shares_.OfKey(key, KeyHash(key)));
    });
  }
  std::span<const RecordBatch> shares() const override { return shares_.get(); }
  std::string TakeShare(uint32_t partition) override { return shares_[partition].TakeEncoded(); }

 private:
  static constexpr bool kRows = kFixedRow<std::pair<K, V>>;
  static constexpr uint32_t kKeySize = kFixedSize<K>;

  void RunRows(const TaskContext& context, std::span<const BatchView> input) {
    appenders_.Open(shares_);
    chain_.Drive(context, input, [&](const auto& row) SLUICE_INLINED {
      char key[kRows ? kKeySize : 1];
      RecordCodec<K>::template Write<true>(row.first, key);
      char* at = appenders_[shares_.PartitionOfHash(HashOfKey<K>(key, sizeof key))].Next();
      std::memcpy(at, key, sizeof key);
      RecordCodec<V>::template Write<false>(row.second, at + sizeof key);
    });
    appenders_.Close();
  }

  Chain chain_;
  Shares shares_;
  std::string scratch_;
  ShareAppenders<kFixedSize<std::pair<K, V>>> appenders_;
};

// Spreads rows evenly: row i of task t goes to partition (t + i) mod n.
template <class Chain>
class SpreadKernel final : public ShuffleKernel {
 public:
  using T = Own<typename Chain::Out>;
  explicit SpreadKernel(Chain chain) : chain_(std::move(chain)) {}

  void Run(const TaskContext& context, std::span<const BatchView> input,
           uint32_t partitions) override {
    shares_.Start(context, partitions, kFixedSize<T>);
    uint32_t next = context.task % partitions;
    if constexpr (kFixedRow<T>) {
      appenders_.Open(shares_);
      chain_.Drive(context, input, [&](const auto& row) SLUICE_INLINED {
        RecordCodec<T>::template Write<false>(row, appenders_[next].Next());
        if (++next == partitions) next = 0;
      });
      return appenders_.Close();
    }
    chain_.Drive(context, input, [&](const auto& row) {
      RecordBatch& out = shares_[next];
      EncodeRecord<T>(row, out.bytes());
      CloseRecord(out);
      if (++next == partitions) next = 0;
    });
  }
  std::span<const RecordBatch> shares() const override { return shares_.get(); }
  std::string TakeShare(uint32_t partition) override { return shares_[partition].TakeEncoded(); }

 private:
  Chain chain_;
  Shares shares_;
  ShareAppenders<kFixedSize<T>> appenders_;
};

// Keeps a task's rows together: task t of n sends all to partition t * partitions / n.
template <class Chain>
class KeepTogetherKernel final : public ShuffleKernel {
 public:
  using T = Own<typename Chain::Out>;
  explicit KeepTogetherKernel(Chain chain) : chain_(std::move(chain)) {}

  void Run(const TaskContext& context, std::span<const BatchView> input,
           uint32_t partitions) override {
    shares_.Start(context, partitions, kFixedSize<T>);
    const uint64_t target = uint64_t{context.task} * partitions / context.total_tasks;
    RecordBatch& out = shares_[std::min<uint64_t>(target, partitions - 1)];
    AppendRows<T>(chain_, context, input, out);
  }
  std::span<const RecordBatch> shares() const override { return shares_.get(); }

 private:
  Chain chain_;
  Shares shares_;
};

// The number of rows, as one record for partition 0.
template <class Chain>
class CountKernel final : public ShuffleKernel {
 public:
  explicit CountKernel(Chain chain) : chain_(std::move(chain)) {}

  void Run(const TaskContext& context, std::span<const BatchView> input,
           uint32_t partitions) override {
    int64_t count = 0;
    chain_.Drive(context, input, [&](const auto&) SLUICE_INLINED { ++count; });
    shares_.Start(context, partitions, sizeof(int64_t));
    EncodeRecord<int64_t>(count, shares_[0].bytes());
    shares_[0].EndRecord();
  }
  std::span<const RecordBatch> shares() const override { return shares_.get(); }

 private:
  Chain chain_;
  Shares shares_;
};

// Functions for which T{} changes nothing, so that a fold needs no first row.
template <class F, class T>
inline constexpr bool kFoldsFromZero =
    std::integral<T> && !std::same_as<T, bool> &&
    (std::same_as<F, std::plus<>> || std::same_as<F, std::plus<T>>);

// The fold of all rows, as at most one record for partition 0.
template <class Chain, class F>
class ReduceKernel final : public ShuffleKernel {
 public:
  using T = Own<typename Chain::Out>;
  ReduceKernel(Chain chain, F f) : chain_(std::move(chain)), fold_(std::move(f)) {}

  void Run(const TaskContext& context, std::span<const BatchView> input,
           uint32_t partitions) override {
    const std::optional<T> total = Fold(context, input);
    shares_.Start(context, partitions, kFixedSize<T>);
    if (!total.has_value()) return;
    EncodeRecord<T>(*total, shares_[0].bytes());
    CloseRecord(shares_[0]);
  }
  std::span<const RecordBatch> shares() const override { return shares_.get(); }

 private:
  std::optional<T> Fold(const TaskContext& context, std::span<const BatchView> input) {
    if constexpr (kFoldsFromZero<F, T>) {
      // Without a branch for the first row the compiler need not branch for filters either; and
      // with one update per row it makes a move of it. Whether there was a row is in doubt only
      // where the total is that of none.
      T total{};
      chain_.Drive(context, input, [&](const auto& row) SLUICE_INLINED {
        total = static_cast<T>(total + row);
      });
      if (total != T{} || AnyRow(context, input)) return total;
      return std::nullopt;
    } else {
      std::optional<T> total;
      chain_.Drive(context, input, [&](const auto& row) {
        if (total.has_value()) fold_.Add(*total, row);
        else total = ToOwned(row);
      });
      return total;
    }
  }

  bool AnyRow(const TaskContext& context, std::span<const BatchView> input) const {
    bool any = false;
    chain_.Drive(context, input, [&](const auto&) { any = true; });
    return any;
  }

  Chain chain_;
  Folder<T, F> fold_;
  Shares shares_;
};

}  // namespace sluice::internal
