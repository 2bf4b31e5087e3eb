// Partitioners of one's own: where the keys of a shuffle go.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/codec.h"
#include "common/plan/kernel.h"
#include "driver/api/chain.h"

namespace sluice {

// Made by PartitionBy; without a function keys go by their hash. Two shuffles with the same
// partitioner and number of partitions put equal keys into equal partitions.
struct Partitioner {
  std::shared_ptr<const KeyPartitioner> function{};
  std::string key_type{};  // that it was made for
  ~Partitioner();
};

namespace internal {

[[noreturn]] void ThrowBadPartition(uint64_t partition, uint32_t partitions);

template <class F, class Key>
concept PlacingFunction = std::is_invocable_r_v<uint64_t, const F&, const Key&, uint32_t>;

template <class K, class F>
class UserPartitioner final : public KeyPartitioner {
 public:
  explicit UserPartitioner(F f) : f_(std::move(f)) {}

  uint32_t PartitionOf(std::string_view key, uint32_t partitions) const override {
    View<K> view{};
    if (!DecodeRecord<K>(key, view)) ThrowBadPartition(UINT64_MAX, partitions);
    const uint64_t partition = Ask(view, partitions);
    if (partition >= partitions) ThrowBadPartition(partition, partitions);
    return static_cast<uint32_t>(partition);
  }

 private:
  uint64_t Ask(const View<K>& key, uint32_t partitions) const {
    if constexpr (PlacingFunction<F, View<K>>) return Call(f_, key, partitions);
    else return Call(f_, ToOwned(key), partitions);
  }

  const F f_;
};

}  // namespace internal

// f(key, number of partitions) gives the partition of a key of type K: the same for equal keys, in
// any process. The key may be a view, or a K, which costs a copy.
template <KeyRecord K, class F>
  requires internal::PlacingFunction<F, View<K>> || internal::PlacingFunction<F, K>
Partitioner PartitionBy(F f) {
  return {std::make_shared<internal::UserPartitioner<K, F>>(std::move(f)), RecordName<K>()};
}

}  // namespace sluice
