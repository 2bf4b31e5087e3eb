#include "worker/executor/share_book.h"

#include <algorithm>
#include <utility>

#include "common/mutations.h"

namespace sluice {
namespace {

constexpr uint64_t kOwn = 0;
constexpr uint64_t OfCopy(uint32_t task) { return uint64_t{task} + 1; }

}  // namespace

bool ShareBook::Add(Chunk chunk) {
  const uint64_t kind = chunk->has_copy() ? OfCopy(chunk->copy().task()) : kOwn;
  Bundle& bundle =
      bundles_[{chunk->batch_ms(), chunk->stage(), chunk->from_executor(), kind}];
  if (chunk->last_chunk()) bundle.count = chunk->chunk() + 1;
  const uint32_t number = chunk->chunk();
  return bundle.chunks.try_emplace(number, std::move(chunk)).second;
}

const ShareBook::Bundle* ShareBook::Whole(const Key& key) const {
  const auto it = bundles_.find(key);
  return it != bundles_.end() && it->second.whole() ? &it->second : nullptr;
}

bool ShareBook::Has(int64_t batch_ms, StageId stage, uint32_t executor) const {
  return Whole({batch_ms, stage, executor, kOwn}) != nullptr;
}

bool ShareBook::Complete(int64_t batch_ms, StageId stage, uint32_t executor) const {
  const proto::ShareBundle* last = Last(batch_ms, stage, executor);
  if (last == nullptr) return false;
  return std::all_of(last->copied().begin(), last->copied().end(), [&](const auto& copied) {
    return CopyBy(batch_ms, stage, copied.task(), copied.executor()) != nullptr;
  });
}

const proto::ShareBundle* ShareBook::Last(int64_t batch_ms, StageId stage,
                                          uint32_t executor) const {
  const Bundle* bundle = Whole({batch_ms, stage, executor, kOwn});
  return bundle == nullptr ? nullptr : bundle->chunks.rbegin()->second.get();
}

const proto::ShareBundle* ShareBook::CopyBy(int64_t batch_ms, StageId stage, uint32_t task,
                                            uint32_t executor) const {
  const Bundle* bundle = Whole({batch_ms, stage, executor, OfCopy(task)});
  return bundle == nullptr ? nullptr : bundle->chunks.rbegin()->second.get();
}

void ShareBook::Collect(int64_t batch_ms, StageId stage, std::vector<Chunk>& out) const {
  const auto counts = [&](const Key& key, const Bundle& bundle) {
    const auto& [batch, of_stage, executor, kind] = key;
    if (kind == kOwn || kMutationCopyFoldedToo) return true;
    const proto::ShareBundle& chunk = *bundle.chunks.begin()->second;
    const proto::ShareBundle* owner = Last(batch_ms, stage, chunk.copy().owner());
    if (owner == nullptr) return false;
    return std::any_of(owner->copied().begin(), owner->copied().end(), [&](const auto& copied) {
      return copied.task() == chunk.copy().task() && copied.executor() == executor;
    });
  };
  for (auto it = bundles_.lower_bound({batch_ms, stage, 0, 0});
       it != bundles_.end() && std::get<0>(it->first) == batch_ms &&
       std::get<1>(it->first) == stage;
       ++it) {
    if (!counts(it->first, it->second)) continue;
    for (const auto& [number, chunk] : it->second.chunks) out.push_back(chunk);
  }
}

void ShareBook::Drop(int64_t batch_ms) {
  auto it = bundles_.lower_bound({batch_ms, 0, 0, 0});
  while (it != bundles_.end() && std::get<0>(it->first) == batch_ms) it = bundles_.erase(it);
}

uint32_t ShareBook::batches() const {
  uint32_t batches = 0;
  for (auto it = bundles_.begin(); it != bundles_.end(); ++batches) {
    it = bundles_.lower_bound({std::get<0>(it->first) + 1, 0, 0, 0});
  }
  return batches;
}

}  // namespace sluice
