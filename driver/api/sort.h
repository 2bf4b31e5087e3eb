// SortBy and Top. Each map task sorts what it has; one task merges. Records with equal keys stay in
// the order in which they came, also where greater keys go first.
#pragma once

#include <array>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "driver/api/dstream.h"
#include "driver/api/kernels.h"
#include "driver/api/shuffle.h"

namespace sluice::internal {

inline constexpr uint64_t kAllRecords = std::numeric_limits<uint64_t>::max();

// What a sort compares: a function of the stored record whose result is kept.
template <class F, class T>
using SortKey = Own<std::remove_cvref_t<RowResult<F, View<T>>>>;

struct WholeRecord {
  template <class R>
  const R& operator()(const R& row) const { return row; }
};

// Whether a key of this type may have a NaN in it, with which `<` is no order.
template <class Key>
inline constexpr bool kMayHoldNan = std::floating_point<Key>;
template <class... Parts>
inline constexpr bool kMayHoldNan<std::tuple<Parts...>> = (kMayHoldNan<Parts> || ...);
template <class A, class B>
inline constexpr bool kMayHoldNan<std::pair<A, B>> = kMayHoldNan<A> || kMayHoldNan<B>;
template <class T>
inline constexpr bool kMayHoldNan<std::optional<T>> = kMayHoldNan<T>;
template <class T>
inline constexpr bool kMayHoldNan<std::vector<T>> = kMayHoldNan<T>;
template <class T, size_t n>
inline constexpr bool kMayHoldNan<std::array<T, n>> = kMayHoldNan<T>;

// Whether a record with key `a` goes before one with key `b`. A NaN goes last, also within pairs,
// tuples, optionals, vectors and arrays.
template <class Key>
bool GoesBefore(const Key& a, const Key& b, bool descending) {
  const auto parts = [descending](const auto& x, const auto& y) {  // below 0: x goes first
    return GoesBefore(y, x, descending) - GoesBefore(x, y, descending);
  };
  if constexpr (!kMayHoldNan<Key>) {
    return descending ? b < a : a < b;
  } else if constexpr (std::floating_point<Key>) {
    if (a != a || b != b) return a == a && b != b;
    return descending ? b < a : a < b;
  } else if constexpr (requires { std::tuple_size<Key>::value; }) {
    return [&]<size_t... i>(std::index_sequence<i...>) {
      int order = 0;
      (void)((order = parts(std::get<i>(a), std::get<i>(b)), order != 0) || ...);
      return order < 0;
    }(std::make_index_sequence<std::tuple_size_v<Key>>());
  } else if constexpr (requires { a.has_value(); }) {
    if (a.has_value() && b.has_value()) return GoesBefore(*a, *b, descending);
    return descending ? b < a : a < b;
  } else {
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (const int order = parts(a[i], b[i]); order != 0) return order < 0;
    }
    return descending ? b.size() < a.size() : a.size() < b.size();
  }
}

struct SortOrder {
  bool descending = false;
  uint64_t limit = kAllRecords;  // only so many of the first records are wanted
};

// Encoded records with their keys, brought into order. Reused from task to task.
template <class T, class F>
class Sorter {
 public:
  Sorter(F f, SortOrder order) : f_(std::move(f)), order_(order) {}

  void Clear() {
    items_.clear();
    bytes_.clear();
    run_ends_.clear();
    full_ = false;
  }

  template <class Row>
  void AddRow(const Row& row) {
    const uint64_t begin = bytes_.size();
    EncodeRecord<T>(row, bytes_);
    SortKey<F, T> key = KeyOf(std::string_view(bytes_).substr(begin));
    if (full_ && !Before(key, items_[order_.limit - 1].key)) return bytes_.resize(begin);
    items_.push_back({std::move(key), begin, bytes_.size() - begin});
    if (order_.limit != kAllRecords && items_.size() >= 2 * order_.limit + kSpare) Shrink();
  }
  void Sort() {
    run_ends_.clear();
    for (size_t begin = 0; begin < items_.size(); begin = run_ends_.back()) {
      run_ends_.push_back(std::min(begin + kShortRun, items_.size()));
      SortShortRun(begin, run_ends_.back());
    }
    MergeRuns();
  }

  // One run of records that are in order already; the next one goes behind it where keys are equal.
  void AddRun(const BatchView& records) {
    for (uint32_t i = 0; i < records.count; ++i) {
      const std::string_view record = records.record(i);
      items_.push_back({KeyOf(record), bytes_.size(), record.size()});
      bytes_.append(record);
    }
    run_ends_.push_back(items_.size());
  }
  void MergeRuns() {
    if (run_ends_.size() > 1) MakeRoom();
    while (run_ends_.size() > 1) {
      size_t begin = 0, runs = 0;
      for (size_t i = 0; i < run_ends_.size(); i += 2) {
        const size_t middle = run_ends_[i];
        const size_t end = i + 1 < run_ends_.size() ? run_ends_[i + 1] : middle;
        MergeTwo(items_.data() + begin, items_.data() + middle, items_.data() + end,
                 room_.data() + begin);
        run_ends_[runs++] = begin = end;
      }
      run_ends_.resize(runs);
      items_.swap(room_);
    }
    Limit();
  }

  void WriteTo(RecordBatch& out) const {
    for (const Item& item : items_) {
      out.bytes().append(bytes_, item.begin, item.size);
      CloseRecord(out);
    }
  }

 private:
  static constexpr uint64_t kSpare = 1024;  // so that a small limit does not sort at every record
  static constexpr size_t kShortRun = 20;   // records that are sorted by insertion

  struct Item {
    SortKey<F, T> key;
    uint64_t begin, size;
  };

  bool Before(const SortKey<F, T>& a, const SortKey<F, T>& b) const {
    return GoesBefore(a, b, order_.descending);
  }
  void SortShortRun(size_t begin, size_t end) {
    for (size_t i = begin + 1; i < end; ++i) {
      if (!Before(items_[i].key, items_[i - 1].key)) continue;
      Item item = std::move(items_[i]);
      size_t at = i;
      for (; at > begin && Before(item.key, items_[at - 1].key); --at) {
        items_[at] = std::move(items_[at - 1]);
      }
      items_[at] = std::move(item);
    }
  }
  // As many items to merge into as there are, without asking for a key that is made of nothing.
  void MakeRoom() {
    room_.clear();
    room_.reserve(items_.size());
    for (Item& item : items_) room_.push_back(std::move(item));
    items_.swap(room_);
  }
  // Moves the runs [left, right) and [right, end) to `out`, in order.
  void MergeTwo(Item* left, Item* right, Item* end, Item* out) {
    Item* const middle = right;
    while (left < middle && right < end) {
      *out++ = Before(right->key, left->key) ? std::move(*right++) : std::move(*left++);
    }
    while (left < middle) *out++ = std::move(*left++);
    while (right < end) *out++ = std::move(*right++);
  }

  SortKey<F, T> KeyOf(std::string_view record) {
    if (!DecodeRecord<T>(record, view_)) ThrowBadRecord(RecordName<T>(), 0, record.size());
    RowCaller<F, View<T>> call(f_);
    return ToOwned(call(std::as_const(view_)));
  }

  void Limit() {
    if (items_.size() > order_.limit) items_.erase(items_.begin() + order_.limit, items_.end());
  }

  // Drops all but the first `limit` records, and their bytes.
  void Shrink() {
    Sort();
    full_ = order_.limit != 0;
    std::string kept;
    for (Item& item : items_) {
      const uint64_t begin = kept.size();
      kept.append(bytes_, item.begin, item.size);
      item.begin = begin;
    }
    bytes_.swap(kept);
  }

  const F f_;
  const SortOrder order_;
  std::vector<Item> items_;
  std::vector<Item> room_;  // for merging
  std::string bytes_;
  std::vector<size_t> run_ends_;
  bool full_ = false;  // the first `limit` items are in order and better than all that went
  View<T> view_{};
};

// Sends the task's rows, in order, to partition 0.
template <class Chain, class F>
class SortKernel final : public ShuffleKernel {
 public:
  using T = Own<typename Chain::Out>;
  SortKernel(Chain chain, F f, SortOrder order)
      : chain_(std::move(chain)), sorter_(std::move(f), order) {}

  void Run(const TaskContext& context, std::span<const BatchView> input,
           uint32_t partitions) override {
    sorter_.Clear();
    chain_.Drive(context, input, [&](const auto& row) { sorter_.AddRow(row); });
    sorter_.Sort();
    shares_.Start(context, partitions, kFixedSize<T>);
    sorter_.WriteTo(shares_[0]);
  }
  std::span<const RecordBatch> shares() const override { return shares_.get(); }

 private:
  Chain chain_;
  Sorter<T, F> sorter_;
  Shares shares_;
};

template <class T, class F>
class MergeOperator final : public PartitionOperator {
 public:
  MergeOperator(F f, SortOrder order) : sorter_(std::move(f), order) {}

  void Run(const OperatorContext&, std::span<const Share> shares, RecordBatch& out) override {
    sorter_.Clear();
    for (const Share& share : shares) sorter_.AddRun(share.records);
    sorter_.MergeRuns();
    sorter_.WriteTo(out);
  }
  uint32_t output_fixed_size() const override { return kFixedSize<T>; }

 private:
  Sorter<T, F> sorter_;
};

// Makes what cuts the records of the only task into as many even pieces as there are partitions,
// in order.
std::shared_ptr<const ShuffleKernelFactory> CutKernels(uint32_t fixed_size);

template <class T, class Chain>
struct Sorts {
  using S = DStream<T, Chain>;

  template <class F>
  static DStream<T> SortBy(const S& s, F f, SortOptions options) {
    if constexpr (Orders<F>()) {
      const DStream<T> sorted = Sorted(s, "SortBy", f, {.descending = options.descending});
      if (options.partitions == 1) return sorted;
      return AddShuffle<T>(sorted, "SortBy, cut", CutKernels(kFixedSize<T>),
                           MakeOperator<ConcatOperator>(kFixedSize<T>), options.partitions);
    }
  }

  template <class F>
  static DStream<T> Top(const S& s, uint32_t k, F f) {
    if constexpr (Orders<F>()) {
      if (k == 0) StreamAccess::graph(s)->Fail(3, "Top needs at least one record to take");
      return Sorted(s, "Top", f, {.descending = true, .limit = k});
    }
  }

 private:
  template <class F>
  static constexpr bool Orders() {
    static_assert(RowFunction<F, View<T>>,
                  "a sort needs a function that can be called with the stream's record");
    if constexpr (RowFunction<F, View<T>>) {
      constexpr bool kOrdered =
          requires(const SortKey<F, T>& a) { { a < a } -> std::convertible_to<bool>; };
      static_assert(kOrdered, "what a sort compares must have an operator <");
      return kOrdered;
    }
    return false;
  }

  template <class F>
  static DStream<T> Sorted(const S& s, const char* label, F f, SortOrder order) {
    return AddShuffle<T>(s, label,
                         MakeShuffle<SortKernel<Chain, F>>(StreamAccess::chain(s), f, order),
                         MakeOperator<MergeOperator<T, F>>(f, order), 1);
  }
};

}  // namespace sluice::internal
