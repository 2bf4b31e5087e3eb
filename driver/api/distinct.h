// Distinct: each record once. Records travel and are compared as canonical key bytes, which are an
// encoding of the record too.
#pragma once

#include "driver/api/dstream.h"
#include "driver/api/kernels.h"
#include "driver/api/shuffle.h"

namespace sluice::internal {

// Of a table that only knows which keys it holds.
struct NoValue {};

// Sends each distinct row of the task once, in the order of first rows.
template <class Chain>
class DistinctKernel final : public ShuffleKernel {
 public:
  using T = Own<typename Chain::Out>;
  explicit DistinctKernel(Chain chain) : chain_(std::move(chain)) {}

  void Run(const TaskContext& context, std::span<const BatchView> input,
           uint32_t partitions) override {
    seen_.Clear();
    bool added;
    chain_.Drive(context, input,
                 [&](const auto& row) { seen_.FindOrAdd(KeyBytes<T>(row, scratch_), added); });
    shares_.Start(context, partitions, kFixedSize<T>);
    for (const auto& entry : seen_.entries()) {
      const std::string_view key = seen_.KeyOf(entry);
      RecordBatch& out = shares_.OfKey(key, entry.hash);
      out.bytes().append(key);
      CloseRecord(out);
    }
  }
  std::span<const RecordBatch> shares() const override { return shares_.get(); }

 private:
  Chain chain_;
  KeyTable<T, NoValue> seen_;
  Shares shares_;
  std::string scratch_;
};

// Makes what passes each record on where it comes first.
std::shared_ptr<const PartitionOperatorFactory> DistinctOperators(uint32_t fixed_size);

template <class T, class Chain>
struct Distincts {
  static DStream<T> Distinct(const DStream<T, Chain>& s, ShuffleOptions options) {
    return AddShuffle<T>(s, "Distinct",
                         MakeShuffle<DistinctKernel<Chain>>(StreamAccess::chain(s)),
                         DistinctOperators(kFixedSize<T>),
                         Partitioning::Of<T>(options));
  }
};

}  // namespace sluice::internal
