// Replication and announcement of blocks.
#include "worker/daemon/block_table.h"

#include <algorithm>

#include "common/fault_point.h"
#include "common/mutations.h"
#include "worker/daemon/block_names.h"

namespace sluice {
namespace {

constexpr int64_t kRetryPeerUs = 50'000;    // a link that broke is tried again after this
// To one peer at a time; a single block may be larger.
constexpr uint64_t kCopiesMax = 256;
constexpr uint64_t kCopyBytesMax = uint64_t{64} << 20;
constexpr int kTellAgain = 10;
constexpr size_t kEndedMax = 1000;

int64_t RepeatUs(const WorkerJob& job) { return std::max<int64_t>(job.lease_us / 10, 100'000); }

}  // namespace

const WorkerJob* BlockTable::JobOf(const BlockKey& key) const {
  auto found = jobs_.find(key.job_instance);
  return found == jobs_.end() || found->second.epoch == 0 ? nullptr : &found->second;
}

const proto::ClusterMembers::Member* BlockTable::ChoosePeer(const WorkerJob& job,
                                                            const Block& block) const {
  if (Fires(FaultPoint::kNoPeer)) return nullptr;
  std::set<std::string> hosts;
  for (const auto& [holder, incarnation] : block.holders) {
    const auto* member = job.MemberById(holder);
    hosts.insert(member != nullptr ? member->host() : config_.host);
  }
  std::vector<const proto::ClusterMembers::Member*> far, near;
  for (const auto& member : job.members.workers()) {
    if (member.worker_id() == config_.worker_id || member.address() == config_.address ||
        member.draining() || block.holders.contains(member.worker_id()) ||
        block.tried.contains(member.worker_id())) {
      continue;
    }
    (hosts.contains(member.host()) ? near : far).push_back(&member);
  }
  const auto& peers = far.empty() ? near : far;
  if (peers.empty()) return nullptr;
  // One peer for one receiver while it lives: few links; different ones for different receivers.
  return peers[block.info.name().incarnation() % peers.size()];
}

bool BlockTable::MayCopyTo(const std::string& address, const Block& block) const {
  const auto found = under_way_.find(address);
  return found == under_way_.end() ||
         (found->second.copies < kCopiesMax &&
          found->second.bytes + block.info.bytes() <= kCopyBytesMax);
}

const proto::ClusterMembers::Member* BlockTable::PeerWithRoom(MonotonicTime now,
                                                              const WorkerJob& job,
                                                              const BlockKey& key,
                                                              bool* crowded) {
  const auto until = crowded_.find(IncarnationOf(key));
  *crowded = until != crowded_.end() && now < until->second;
  if (*crowded) return nullptr;
  if (until != crowded_.end()) crowded_.erase(until);
  const Block& block = blocks_.at(key);
  const auto* peer = ChoosePeer(job, block);
  if (peer == nullptr || MayCopyTo(peer->address(), block)) return peer;
  crowded_[IncarnationOf(key)] = now + kRetryPeerUs;
  *crowded = true;
  return nullptr;
}

void BlockTable::EndCopy(Block& block) {
  if (!block.copying.has_value()) return;
  const auto found = under_way_.find(block.copying->address);
  found->second.bytes -= block.info.bytes();
  if (--found->second.copies == 0) under_way_.erase(found);
  block.copying.reset();
}

void BlockTable::CopyTo(MonotonicTime now, Block& block,
                        const proto::ClusterMembers::Member& peer, worker::Commands& out) {
  UnderWay& under_way = under_way_[peer.address()];
  ++under_way.copies;
  under_way.bytes += block.info.bytes();
  block.copying = Copying{peer.worker_id(), peer.incarnation(), peer.address(), now};
  out.push_back(worker::SendCopy{block.info, peer.address(), config_.incarnation});
}

void BlockTable::Replicate(MonotonicTime now, const BlockKey& key, worker::Commands& out) {
  Block& block = blocks_.at(key);
  const WorkerJob* job = JobOf(key);
  if (block.stage != Stage::kReplicating || block.copying.has_value() || job == nullptr ||
      now < block.retry_at) {
    return;
  }
  const bool logged = Logged(now, *job, block, out);  // under way while copies are made
  const size_t wanted = std::max<uint32_t>(job->replication, 1);
  const size_t least = std::max<uint32_t>(std::min(job->replication_min, job->replication), 1);
  if (block.holders.size() < wanted) {
    bool crowded = false;
    if (const auto* peer = PeerWithRoom(now, *job, key, &crowded)) {
      CopyTo(now, block, *peer, out);
      if (kMutationAckBeforeReplication) {
        block.holders[peer->worker_id()] = peer->incarnation();
        block.stage = Stage::kReady;
        AnnounceNext(now, IncarnationOf(key), out);
      }
      return;
    }
    if (crowded) return;
    if (block.holders.size() < least) {
      block.tried.clear();
      block.retry_at = now + kRetryAllUs;
      return;
    }
  }
  if (!logged) return;
  block.stage = Stage::kReady;
  AnnounceNext(now, IncarnationOf(key), out);
}

void BlockTable::Announce(MonotonicTime now, const WorkerJob& job, Block& block,
                          worker::Commands& out) {
  block.announced_at = now;
  Send send{job.driver, {}};
  auto* message = send.message.mutable_block_announce();
  if (block.holders.empty()) {  // the number alone
    *message->mutable_block()->mutable_name() = block.info.name();
    message->mutable_block()->set_reliable(block.info.reliable());
  } else {
    *message->mutable_block() = block.info;
  }
  for (const auto& [holder, incarnation] : block.holders) {
    message->add_holders(holder);
    message->add_incarnations(incarnation);
  }
  message->set_epoch(job.epoch);
  out.push_back(std::move(send));
}

void BlockTable::AnnounceNext(MonotonicTime now, const BlockKey& incarnation,
                              worker::Commands& out) {
  auto found = incarnations_.find(incarnation);
  const WorkerJob* job = JobOf(incarnation);
  if (found == incarnations_.end() || found->second.unlogged.empty() || job == nullptr) return;
  BlockKey key = incarnation;
  key.number = *found->second.unlogged.begin();
  Block& block = blocks_.at(key);
  if (block.stage != Stage::kReady) return;
  block.stage = Stage::kAnnounced;
  block.announced_ever = true;
  settled_.push_back(key);
  Announce(now, *job, block, out);
}

void BlockTable::CopyFailed(MonotonicTime now, const BlockKey& key, bool for_good,
                            worker::Commands& out) {
  Block& block = blocks_.at(key);
  if (for_good) {
    block.tried.insert(block.copying->worker_id);
  } else {
    block.retry_at = now + kRetryPeerUs;
  }
  EndCopy(block);
  Replicate(now, key, out);
}

void BlockTable::OnCopied(MonotonicTime now, const std::string& from,
                          const proto::BlockCopied& message, worker::Commands& out) {
  const BlockKey key = KeyOf(message.name());
  auto found = blocks_.find(key);
  if (found == blocks_.end()) return;
  Block& block = found->second;
  const WorkerJob* job = JobOf(key);
  const bool awaited = block.copying.has_value() &&
                       (block.copying->worker_id == message.worker_id() ||
                        block.copying->address == from);
  if (!message.ok()) {  // also unasked, of a copy that it had
    const auto held = block.holders.find(message.worker_id());
    const bool counts = held != block.holders.end() && held->second == message.incarnation();
    if (counts) block.holders.erase(held);
    if (block.copy_from == from && block.copy_from_incarnation == message.incarnation()) {
      block.copy_from.clear();
    }
  }
  // One that was given up on may have taken its copy all the same. Any other word that nobody waits
  // for is late: under a former job driver its worker may have let the copy go since.
  const bool late_copy = message.ok() && block.tried.contains(message.worker_id()) &&
                         job != nullptr && job->Has(message.worker_id(), message.incarnation());
  if (!awaited && !late_copy) return;
  if (!message.ok()) {
    out.push_back(worker::Say{"worker " + message.worker_id() + " did not take a copy of " +
                              BlockText(key) + ": " + message.error()});
    CopyFailed(now, key, /*for_good=*/true, out);
    return;
  }
  if (awaited) EndCopy(block);
  if (!HasCopy(block)) return;  // given up here meanwhile
  const auto [held, fresh] =
      block.holders.try_emplace(message.worker_id(), message.incarnation());
  if (!fresh && held->second == message.incarnation() && !awaited) return;
  held->second = message.incarnation();
  if (block.stage == Stage::kReplicating) {
    Replicate(now, key, out);
  } else if (block.stage == Stage::kLogged || block.stage == Stage::kHeld) {
    block.tell_again = kTellAgain;
    active_.insert(key);
    if (job != nullptr) Announce(now, *job, block, out);
  }
}

void BlockTable::OnCopyStored(const worker::CopyStored& event, worker::Commands& out) {
  const BlockKey key = KeyOf(event.info.name());
  Send send{event.from, {}};
  auto* reply = send.message.mutable_block_copied();
  *reply->mutable_name() = event.info.name();
  reply->set_worker_id(config_.worker_id);
  reply->set_incarnation(config_.incarnation);
  if (event.ok && Ended(key.job_instance)) {
    if (!blocks_.contains(key)) out.push_back(worker::DropBlock{key});
    reply->set_error("the job has ended");
  } else if (event.ok) {
    reply->set_ok(true);
    auto [placed, fresh] = blocks_.try_emplace(key);
    if (fresh) {
      Block& block = placed->second;
      block.info = event.info;
      block.stage = Stage::kHeld;
      block.holders = HeldHere();
      block.copy_from = event.from;
      block.copy_from_incarnation = event.incarnation;
    }
  } else {
    reply->set_error(event.error);
  }
  out.push_back(std::move(send));
}

void BlockTable::OnPeerDown(MonotonicTime now, const std::string& address, bool refused,
                            worker::Commands& out) {
  const std::vector<BlockKey> keys(active_.begin(), active_.end());
  for (const BlockKey& key : keys) {
    auto found = blocks_.find(key);
    if (found == blocks_.end() || !found->second.copying.has_value()) continue;
    if (found->second.copying->address == address) CopyFailed(now, key, refused, out);
  }
}

void BlockTable::OnLinkReset(MonotonicTime now, const std::string& address,
                             worker::Commands& out) {
  for (const BlockKey& key : active_) {
    auto found = blocks_.find(key);
    if (found == blocks_.end()) continue;
    Block& block = found->second;
    const WorkerJob* job = JobOf(key);
    if (block.copying.has_value() && block.copying->address == address) {
      block.copying->sent = now;
      out.push_back(worker::SendCopy{block.info, address, config_.incarnation});
    } else if (job != nullptr && job->driver == address && block.stage == Stage::kAnnounced) {
      Announce(now, *job, block, out);
    }
  }
}

std::optional<ExecutorKey> BlockTable::OnVerdict(MonotonicTime now,
                                                 const proto::BlockVerdict& verdict,
                                                 worker::Commands& out) {
  const BlockKey key = KeyOf(verdict.name());
  auto found = blocks_.find(key);
  if (found == blocks_.end()) return std::nullopt;
  Block& block = found->second;
  const std::optional<ExecutorKey> receiver = block.receiver;
  block.tell_again = 0;
  if (block.stage == Stage::kLogged || block.stage == Stage::kHeld) return receiver;
  if (verdict.accepted() && HasCopy(block)) {
    block.stage = Stage::kLogged;
    incarnations_[IncarnationOf(key)].unlogged.erase(key.number);
    if (!block.copying.has_value()) active_.erase(key);
    settled_.push_back(key);
  } else {
    Remove(found, /*at_peers=*/!verdict.accepted(), out);
  }
  AnnounceNext(now, IncarnationOf(key), out);
  return receiver;
}

void BlockTable::Remove(Blocks::iterator found, bool at_peers, worker::Commands& out) {
  const BlockKey key = found->first;
  const Block& block = found->second;
  const WorkerJob* job = JobOf(key);
  if (at_peers && job != nullptr) {
    std::set<std::string> peers;
    for (const auto& [holder, incarnation] : block.holders) peers.insert(holder);
    if (block.copying.has_value()) peers.insert(block.copying->worker_id);
    for (const std::string& holder : peers) {
      const auto* member = job->MemberById(holder);
      if (member == nullptr || holder == config_.worker_id) continue;
      Send send{member->address(), {}};
      auto* release = send.message.mutable_release_blocks();
      release->set_job_instance(key.job_instance);
      release->set_epoch(job->epoch);
      *release->add_names() = NameOf(key);
      out.push_back(std::move(send));
    }
  }
  auto incarnation = incarnations_.find(IncarnationOf(key));
  if (incarnation != incarnations_.end()) incarnation->second.unlogged.erase(key.number);
  active_.erase(key);
  settled_.push_back(key);
  EndCopy(found->second);
  blocks_.erase(found);
  out.push_back(worker::DropBlock{key});
}

std::vector<std::pair<ExecutorKey, BlockKey>> BlockTable::OnRelease(
    MonotonicTime now, const proto::ReleaseBlocks& message, worker::Commands& out) {
  std::vector<std::pair<ExecutorKey, BlockKey>> unjudged;
  for (const auto& name : message.names()) {
    const BlockKey key = KeyOf(name);
    auto found = blocks_.find(key);
    if (found == blocks_.end()) continue;
    const Block& block = found->second;
    const bool waits = block.stage != Stage::kLogged && block.stage != Stage::kHeld;
    if (waits && block.receiver.has_value()) unjudged.emplace_back(*block.receiver, key);
    Remove(found, /*at_peers=*/false, out);
    if (waits) AnnounceNext(now, IncarnationOf(key), out);
  }
  return unjudged;
}

void BlockTable::OnReplicate(MonotonicTime now, const proto::ReplicateBlock& message,
                             worker::Commands& out) {
  const BlockKey key = KeyOf(message.name());
  auto found = blocks_.find(key);
  if (found == blocks_.end() || message.target_worker() == config_.worker_id) return;
  Block& block = found->second;
  const WorkerJob* job = JobOf(key);
  if (!HasCopy(block) || block.copying.has_value() || job == nullptr) return;
  if (!MayCopyTo(message.target_address(), block)) return;  // the driver asks again
  // Who asks does not count on a copy there: it may have been dropped as damaged, and the word of
  // it been lost. Where there is one its daemon says so.
  block.holders.erase(message.target_worker());
  proto::ClusterMembers::Member peer;
  peer.set_worker_id(message.target_worker());
  peer.set_address(message.target_address());
  peer.set_incarnation(message.target_incarnation());
  active_.insert(key);
  CopyTo(now, block, peer, out);
}

void BlockTable::OnSession(uint64_t job_instance, uint64_t epoch) {
  auto ended = ended_.find(job_instance);
  if (ended == ended_.end() || epoch <= ended->second) return;
  ended_.erase(ended);
  std::erase(ended_order_, job_instance);
}

void BlockTable::OnJobEnded(uint64_t job_instance, uint64_t epoch, worker::Commands& out) {
  const auto of_job = [&](const BlockKey& key) { return key.job_instance == job_instance; };
  for (auto& [key, block] : blocks_) {
    if (of_job(key)) EndCopy(block);
  }
  std::erase_if(blocks_, [&](const auto& block) { return of_job(block.first); });
  std::erase_if(crowded_, [&](const auto& entry) { return of_job(entry.first); });
  std::erase_if(incarnations_, [&](const auto& entry) { return of_job(entry.first); });
  std::erase_if(active_, of_job);
  std::erase_if(restoring_, of_job);
  out.push_back(worker::DropJob{job_instance});
  auto [ended, fresh] = ended_.try_emplace(job_instance, epoch);
  ended->second = std::max(ended->second, epoch);
  if (!fresh) return;
  ended_order_.push_back(job_instance);
  if (ended_order_.size() > kEndedMax) {
    ended_.erase(ended_order_.front());
    ended_order_.pop_front();
  }
}

void BlockTable::CheckCopying(MonotonicTime now, const WorkerJob& job, const BlockKey& key,
                              worker::Commands& out) {
  Block& block = blocks_.at(key);
  if (block.copying.has_value() && now - block.copying->sent > job.lease_us) {
    CopyFailed(now, key, /*for_good=*/true, out);
  }
}

void BlockTable::Tick(MonotonicTime now, worker::Commands& out) {
  RetryStores(now, out);
  const std::vector<BlockKey> keys(active_.begin(), active_.end());
  for (const BlockKey& key : keys) {
    auto found = blocks_.find(key);
    const WorkerJob* job = JobOf(key);
    if (found == blocks_.end()) {
      active_.erase(key);
      continue;
    }
    if (job == nullptr) continue;
    CheckCopying(now, *job, key, out);
    Replicate(now, key, out);
    Block& block = found->second;
    const bool waits = block.stage == Stage::kAnnounced || block.tell_again > 0;
    if (waits && now - block.announced_at >= RepeatUs(*job)) {
      if (block.tell_again > 0) --block.tell_again;
      Announce(now, *job, block, out);
    }
    const bool at_rest = block.stage == Stage::kLogged || block.stage == Stage::kHeld;
    if (at_rest && !block.copying.has_value() && block.tell_again == 0) active_.erase(key);
  }
}

}  // namespace sluice
