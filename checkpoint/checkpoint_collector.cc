#include "checkpoint/checkpoint_collector.h"

#include <algorithm>
#include <set>

#include "common/status.h"

namespace sluice {

absl::StatusOr<Collectable> CheckpointCollector::Find(size_t keep) {
  ASSIGN_OR_RETURN(const std::vector<CheckpointInfo> all, store_->List());
  keep = std::max(keep, kCheckpointsKept);
  Collectable result;
  if (all.empty()) return result;
  std::vector<CheckpointInfo> staying = all;  // one that is set aside is none
  std::erase_if(staying, [](const CheckpointInfo& info) { return info.set_aside; });
  if (staying.size() > keep) staying.erase(staying.begin(), staying.end() - keep);
  const uint64_t first = staying.empty() ? 0 : staying.front().sequence;
  for (const CheckpointInfo& info : all) {
    if (info.sequence < first) result.names.push_back(info.name);
  }
  needs_.erase(needs_.begin(), needs_.lower_bound(first));

  std::set<std::string> needed;
  int64_t newest_batch_ms = 0;
  for (const CheckpointInfo& info : staying) {
    auto known = needs_.find(info.sequence);
    if (known == needs_.end()) {
      ASSIGN_OR_RETURN(Manifest manifest, store_->ReadManifest(info.name));
      Needs needs{manifest.batch_ms, manifest.decided.slot, {}};
      for (StateChain& chain : manifest.chains) {
        std::ranges::move(chain.parts, std::back_inserter(needs.parts));
      }
      known = needs_.emplace(info.sequence, std::move(needs)).first;
    }
    needed.insert(known->second.parts.begin(), known->second.parts.end());
    newest_batch_ms = known->second.batch_ms;
  }
  if (staying.size() >= kCheckpointsKept) {
    result.oldest = staying.front().name;
    result.oldest_slot = needs_.at(first).decided_slot;
  }
  ASSIGN_OR_RETURN(const std::vector<PartInfo> parts, store_->ListParts());
  for (const PartInfo& part : parts) {
    if (part.batch_ms < newest_batch_ms && !needed.contains(part.name)) {
      result.names.push_back(part.name);
    }
  }
  return result;
}

}  // namespace sluice
