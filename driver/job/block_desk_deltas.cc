// Blocks that hold changes of state (docs/recovery_by_deltas.md). The log does not add them: they
// count when the decision of their batch names them.
#include "common/delta_stream.h"
#include "driver/job/block_desk.h"

namespace sluice {

void BlockDesk::OnDelta(const std::string& from, const proto::BlockAnnounce& announce,
                        std::vector<DriverCommand>& out) {
  const BlockId key = BlockIdOf(announce.block().name());
  for (const std::string& holder : HoldersIn(announce)) NoteHeld(holder, key);
  const auto [delta, fresh] =
      deltas_.try_emplace(key, Delta{announce.block(), state_->last_planned_ms()});
  auto& partitions = *delta->second.info.mutable_partitions();
  if (static_cast<size_t>(partitions.size()) > 2 * kPartitionRunsMax) partitions.Clear();
  unannounced_.erase(key);
  replicating_.erase(key);
  if (StayingHoldersOf(key).size() < options_.replication) check_deltas_ = true;
  uint64_t& last = last_deltas_[key.incarnation];
  last = std::max(last, key.number);
  Send send{from, {}};
  *send.message.mutable_block_verdict()->mutable_name() = announce.block().name();
  send.message.mutable_block_verdict()->set_accepted(true);
  out.push_back(std::move(send));
}

const proto::BlockInfo* BlockDesk::FindDelta(const BlockId& key) const {
  const auto delta = deltas_.find(key);
  return delta == deltas_.end() ? nullptr : &delta->second.info;
}

// With those that may still be decided.
std::map<BlockId, const proto::BlockInfo*> BlockDesk::NeededDeltas() const {
  std::map<BlockId, const proto::BlockInfo*> needed;
  for (const auto& [key, delta] : deltas_) needed[key] = &delta.info;
  for (const auto& [batch_ms, batch] : state_->decided()) {
    if (batch_ms <= state_->sealed_ms()) continue;
    for (const auto& delta : batch.decided.deltas()) {
      needed.emplace(BlockIdOf(delta.name()), &delta);
    }
  }
  return needed;
}

void BlockDesk::SweepDeltas() {
  const int64_t sealed_ms = log_->durable().sealed_ms();
  std::set<BlockId> named;
  for (const auto& [batch_ms, batch] : state_->decided()) {
    if (batch_ms <= sealed_ms) continue;
    for (const auto& delta : batch.decided.deltas()) named.insert(BlockIdOf(delta.name()));
  }
  const auto needless = [&](const BlockId& key) {
    if (named.contains(key)) return false;
    const auto delta = deltas_.find(key);
    if (delta != deltas_.end()) return delta->second.planned_ms <= sealed_ms;
    // A copy that was under way when it was released,
    const auto last = last_deltas_.find(key.incarnation);
    if (last != last_deltas_.end() && key.number <= last->second) return true;
    // or one that is not announced yet, or never will be: its batch was planned when it was seen.
    const auto seen = unannounced_.try_emplace(key, state_->last_planned_ms()).first;
    return seen->second <= sealed_ms || !members_->ReceiverAlive(key.stream, key.incarnation);
  };
  std::vector<BlockId> gone;
  for (const auto& [worker, held] : held_) {
    for (auto it = held.lower_bound({kDeltaStream, 0, 0}); it != held.end(); ++it) {
      if (needless(it->first)) gone.push_back(it->first);
    }
  }
  for (const BlockId& key : gone) unannounced_.erase(key);
  Release(gone);
  // Also those that no worker has: the one that had them may have been started anew.
  std::erase_if(deltas_, [&](const auto& delta) { return needless(delta.first); });
  std::erase_if(replicating_, [&](const auto& asked) {
    const BlockId& key = asked.first;
    return key.stream == kDeltaStream && !deltas_.contains(key) && !named.contains(key);
  });
  std::erase_if(unannounced_, [&](const auto& seen) {
    return !members_->ReceiverAlive(kDeltaStream, seen.first.incarnation);
  });
  std::erase_if(last_deltas_, [&](const auto& last) {
    return !members_->ReceiverAlive(kDeltaStream, last.first);
  });
}

}  // namespace sluice
