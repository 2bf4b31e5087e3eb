// The shares that have come in for batches not yet finished here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <vector>

#include "common/plan/stages.h"
#include "proto/cluster.pb.h"

namespace sluice {

// One generation's received bundles, chunk by chunk. Not thread-safe.
// Invariant: a chunk, named (batch, stage, sender, number), is kept once, whatever comes again.
class ShareBook {
 public:
  using Chunk = std::shared_ptr<const proto::ShareBundle>;

  // False: this chunk was here already.
  bool Add(Chunk chunk);
  // All chunks of the sender's bundle of this stage are in.
  bool Complete(int64_t batch_ms, StageId stage, uint32_t executor) const;
  // Appends all chunks of this stage's bundles.
  void Collect(int64_t batch_ms, StageId stage, std::vector<Chunk>& out) const;
  void Drop(int64_t batch_ms);
  // Of how many batches it has shares.
  uint32_t batches() const;
  void Clear() { bundles_.clear(); }

 private:
  struct Bundle {
    std::map<uint32_t, Chunk> chunks;
    uint32_t count = 0;  // 0: the last chunk has not come
  };
  std::map<std::tuple<int64_t, StageId, uint32_t>, Bundle> bundles_;
};

}  // namespace sluice
