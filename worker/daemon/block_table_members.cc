// What a change of the driver, of the workers or of this worker's own fate, or damage on its disk,
// means for blocks.
#include <algorithm>

#include "common/delta_stream.h"
#include "worker/daemon/block_names.h"
#include "worker/daemon/block_table.h"

namespace sluice {

// What peers said of their copies they said under a former job driver: they may have let them go
// since, while the release of the one here was lost. So they are asked again before that counts.
void BlockTable::OnNewEpoch(uint64_t job_instance) {
  for (auto it = blocks_.lower_bound({.job_instance = job_instance});
       it != blocks_.end() && it->first.job_instance == job_instance; ++it) {
    Block& block = it->second;
    block.sender_may_lack = true;
    block.tell_again = 0;
    block.retry_at = 0;
    const bool at_rest = block.stage == Stage::kLogged || block.stage == Stage::kHeld;
    if ((at_rest || block.announced_ever) && HasCopy(block)) block.holders = HeldHere();
    const bool waits = block.stage == Stage::kReady && block.announced_ever;
    if (block.stage == Stage::kAnnounced || waits) {
      block.stage = HasCopy(block) ? Stage::kReplicating : Stage::kReady;
    }
  }
}

void BlockTable::Adopt(MonotonicTime now, const BlockKey& key, worker::Commands& out) {
  Block& block = blocks_.at(key);
  block.stage = Stage::kReplicating;
  block.holders = HeldHere();
  block.info.set_recovered(true);
  incarnations_[IncarnationOf(key)].unlogged.insert(key.number);
  active_.insert(key);
  Replicate(now, key, out);
}

void BlockTable::OnMembers(MonotonicTime now, uint64_t job_instance, worker::Commands& out) {
  auto job = jobs_.find(job_instance);
  if (job == jobs_.end() || job->second.members.workers().empty()) return;
  const WorkerJob& session = job->second;
  std::vector<BlockKey> adopted, touched;
  for (auto it = blocks_.lower_bound({.job_instance = job_instance});
       it != blocks_.end() && it->first.job_instance == job_instance; ++it) {
    Block& block = it->second;
    block.tried.clear();
    std::erase_if(block.holders, [&](const auto& holder) {
      return holder.first != config_.worker_id && !session.Has(holder.first, holder.second);
    });
    if (block.copying.has_value() &&
        !session.Has(block.copying->worker_id, block.copying->incarnation)) {
      EndCopy(block);
    }
    if (block.stage < Stage::kAnnounced) touched.push_back(it->first);
    const bool adopts = block.stage == Stage::kHeld && !block.info.reliable();
    if (adopts && OriginOf(session, block) == nullptr) adopted.push_back(it->first);
  }
  for (const BlockKey& key : adopted) Adopt(now, key, out);
  for (const BlockKey& key : touched) {
    Replicate(now, key, out);
    AnnounceNext(now, IncarnationOf(key), out);
  }
}

const proto::ClusterMembers::Member* BlockTable::OriginOf(const WorkerJob& job,
                                                          const Block& block) const {
  const auto* member = job.MemberAt(block.copy_from);
  const bool same = member != nullptr && member->incarnation() == block.copy_from_incarnation;
  return same ? member : nullptr;
}

void BlockTable::OnCopyUnreadable(MonotonicTime now, const worker::CopyUnreadable& event,
                                  worker::Commands& out) {
  const auto found = blocks_.find(event.block);
  if (found == blocks_.end()) return;
  Block& block = found->second;
  const std::string what = "the copy of block " + BlockText(event.block) + " here cannot be read";
  if (event.damaged && HasCopy(block)) {
    out.push_back(worker::Say{what + " and is dropped: " + event.error});
    return DropDamaged(now, found, event.error, out);
  }
  if (!block.copying.has_value()) return;
  out.push_back(worker::Say{what + " now and is not copied: " + event.error});
  EndCopy(block);
  block.retry_at = now + kRetryAllUs;
}

// Who counts on this copy is told: the job driver, and peers that have one as well.
void BlockTable::DropDamaged(MonotonicTime now, Blocks::iterator found, const std::string& error,
                             worker::Commands& out) {
  const BlockKey key = found->first;
  Block& block = found->second;
  if (const WorkerJob* job = JobOf(key)) {
    Send send{job->driver, {}};
    auto* gone = send.message.mutable_block_copied();
    *gone->mutable_name() = NameOf(key);
    gone->set_error(error);
    gone->set_worker_id(config_.worker_id);
    gone->set_incarnation(config_.incarnation);
    out.push_back(send);
    for (const auto& member : job->members.workers()) {
      if (member.worker_id() == config_.worker_id) continue;
      send.to = member.address();
      out.push_back(send);
    }
  }
  const bool at_rest = block.stage == Stage::kLogged || block.stage == Stage::kHeld;
  if (at_rest || key.stream == kDeltaStream) {  // the log does not count deltas
    Remove(found, /*at_peers=*/false, out);
    if (!at_rest) AnnounceNext(now, IncarnationOf(key), out);
    return;
  }
  // Its source was told nothing yet, and the next one could not follow. Should the log have it all
  // the same, from an announcement that is not answered, it keeps it.
  EndCopy(block);
  if (block.stage == Stage::kReplicating) {
    block.holders.clear();  // they are too few, or it is not in the received-data log
  } else {
    block.holders.erase(config_.worker_id);
  }
  block.logging = false;
  block.stage = Stage::kReady;
  out.push_back(worker::DropBlock{key});
  AnnounceNext(now, IncarnationOf(key), out);
}

void BlockTable::AppendInventory(uint64_t job_instance, proto::WorkerInventory* inventory) const {
  for (auto it = blocks_.lower_bound({.job_instance = job_instance});
       it != blocks_.end() && it->first.job_instance == job_instance; ++it) {
    if (HasCopy(it->second)) *inventory->add_blocks() = it->second.info;
  }
}

uint64_t BlockTable::Count(uint64_t job_instance) const {
  uint64_t count = 0;
  for (auto it = blocks_.lower_bound({.job_instance = job_instance});
       it != blocks_.end() && it->first.job_instance == job_instance; ++it) {
    if (HasCopy(it->second)) ++count;
  }
  return count;
}

uint64_t BlockTable::UnderReplicated() const {
  uint64_t count = 0;
  for (const auto& [key, block] : blocks_) {
    const WorkerJob* job = JobOf(key);
    // What peers have of a block from under a former job driver is not known here.
    if (job != nullptr && !block.sender_may_lack && block.stage != Stage::kHeld &&
        block.stage != Stage::kReplicating && !block.holders.empty() &&
        block.holders.size() < job->replication) {
      ++count;
    }
  }
  return count;
}

bool BlockTable::SoleCopy(const WorkerJob& job, const Block& block) const {
  if (!HasCopy(block)) return false;
  const auto stays = [&](const proto::ClusterMembers::Member* member) {
    return member != nullptr && member->worker_id() != config_.worker_id && !member->draining();
  };
  const bool sender_has = block.stage == Stage::kHeld && !block.sender_may_lack;
  if (sender_has && stays(OriginOf(job, block))) return false;
  return std::none_of(block.holders.begin(), block.holders.end(), [&](const auto& holder) {
    return stays(job.MemberById(holder.first));
  });
}

// Of two workers that drain, one may count on a copy of the other's before it hears that it drains,
// too. The driver daemon tells of one after the other, and never of the later one without the
// former: the later one, once it finds itself among those that drain, knows what not to count on.
bool BlockTable::ToldOfDrain(const WorkerJob& job) const {
  const auto* self = job.MemberById(config_.worker_id);
  return self != nullptr && self->draining();
}

bool BlockTable::HandOver(MonotonicTime now, worker::Commands& out) {
  bool done = true;
  for (auto& [key, block] : blocks_) {
    const WorkerJob* job = JobOf(key);
    if (job == nullptr) continue;
    if (block.copying.has_value() || block.tell_again > 0 || block.stage == Stage::kAnnounced ||
        block.stage == Stage::kReady) {
      done = false;
      continue;
    }
    if (!ToldOfDrain(*job)) done = false;
    if (!SoleCopy(*job, block)) continue;
    done = false;  // without a peer it waits for one: whoever sent it was told that it is safe
    if (now < block.retry_at) continue;
    bool crowded = false;
    if (const auto* peer = PeerWithRoom(now, *job, key, &crowded)) {
      active_.insert(key);
      CopyTo(now, block, *peer, out);
    } else if (!crowded) {
      block.tried.clear();
      block.retry_at = now + kRetryAllUs;
    }
  }
  return done;
}

uint64_t BlockTable::SoleCopies() const {
  uint64_t count = 0;
  for (const auto& [key, block] : blocks_) {
    const WorkerJob* job = JobOf(key);
    if (job != nullptr && SoleCopy(*job, block)) ++count;
  }
  return count;
}

}  // namespace sluice
