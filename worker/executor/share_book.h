// The shares that have come in for batches not yet finished here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "common/plan/stages.h"
#include "proto/cluster.pb.h"

namespace sluice {

// One generation's received bundles, chunk by chunk. Not thread-safe.
// Invariants:
// 1. A chunk, named (batch, stage, sender, copied task or none, number), is kept once, whatever
//    comes again.
// 2. The shares of a copy count if and only if the bundle of the task's owner names the copy.
class ShareBook {
 public:
  using Chunk = std::shared_ptr<const proto::ShareBundle>;

  // False: this chunk was here already.
  bool Add(Chunk chunk);
  // All chunks of what the sender made itself of this stage are in.
  bool Has(int64_t batch_ms, StageId stage, uint32_t executor) const;
  // That, and the bundles of the copies that it names.
  bool Complete(int64_t batch_ms, StageId stage, uint32_t executor) const;
  // The last chunk of an own bundle that Has; null: it has not.
  const proto::ShareBundle* Last(int64_t batch_ms, StageId stage, uint32_t executor) const;
  // The last chunk of `executor`'s copy of the task, when all of it is in; null: it is not.
  const proto::ShareBundle* CopyBy(int64_t batch_ms, StageId stage, uint32_t task,
                                   uint32_t executor) const;
  // Appends all chunks of this stage's bundles that count.
  void Collect(int64_t batch_ms, StageId stage, std::vector<Chunk>& out) const;
  void Drop(int64_t batch_ms);
  // Of how many batches it has shares.
  uint32_t batches() const;
  void Clear() { bundles_.clear(); }

 private:
  struct Bundle {
    std::map<uint32_t, Chunk> chunks;
    uint32_t count = 0;  // 0: the last chunk has not come
    bool whole() const { return count != 0 && chunks.size() == count; }
  };
  // Batch, stage, sender, and 0 or one above the task that was copied.
  using Key = std::tuple<int64_t, StageId, uint32_t, uint64_t>;
  const Bundle* Whole(const Key& key) const;

  std::map<Key, Bundle> bundles_;
};

}  // namespace sluice
