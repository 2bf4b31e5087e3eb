#include "worker/executor/share_book.h"

#include <utility>

namespace sluice {

bool ShareBook::Add(Chunk chunk) {
  Bundle& bundle = bundles_[{chunk->batch_ms(), chunk->stage(), chunk->from_executor()}];
  if (chunk->last_chunk()) bundle.count = chunk->chunk() + 1;
  const uint32_t number = chunk->chunk();
  return bundle.chunks.try_emplace(number, std::move(chunk)).second;
}

bool ShareBook::Complete(int64_t batch_ms, StageId stage, uint32_t executor) const {
  const auto it = bundles_.find({batch_ms, stage, executor});
  return it != bundles_.end() && it->second.count != 0 &&
         it->second.chunks.size() == it->second.count;
}

void ShareBook::Collect(int64_t batch_ms, StageId stage, std::vector<Chunk>& out) const {
  for (auto it = bundles_.lower_bound({batch_ms, stage, 0});
       it != bundles_.end() && std::get<0>(it->first) == batch_ms &&
       std::get<1>(it->first) == stage;
       ++it) {
    for (const auto& [number, chunk] : it->second.chunks) out.push_back(chunk);
  }
}

void ShareBook::Drop(int64_t batch_ms) {
  auto it = bundles_.lower_bound({batch_ms, 0, 0});
  while (it != bundles_.end() && std::get<0>(it->first) == batch_ms) it = bundles_.erase(it);
}

uint32_t ShareBook::batches() const {
  uint32_t batches = 0;
  for (auto it = bundles_.begin(); it != bundles_.end(); ++batches) {
    it = bundles_.lower_bound({std::get<0>(it->first) + 1, 0, 0});
  }
  return batches;
}

}  // namespace sluice
