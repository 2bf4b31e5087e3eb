#include "driver/job/block_desk.h"

#include <algorithm>

#include "common/delta_stream.h"
#include "common/fault_point.h"
#include "common/mutations.h"

namespace sluice {
namespace {

constexpr MonotonicTime kCheckCopiesUs = 200'000;
// So long what a worker holds and what is known of it may differ: copies are under way, and
// announcements of them.
constexpr int64_t kDiffersLeases = 4;
// So long a receiver that has ended is to be silent: blocks of it may wait for copies or a store.
constexpr int64_t kOrphanLeases = 24;

}  // namespace

void BlockDesk::OnAnnounce(const std::string& from, const proto::BlockAnnounce& announce,
                           std::vector<DriverCommand>& out) {
  const BlockId key = BlockIdOf(announce.block().name());
  // The word of one that has ended since, and had it alone: it cannot be read, and it is not safe.
  if (announce.holders_size() > 0 && HoldersIn(announce).empty()) return;
  if (key.stream == kDeltaStream) return OnDelta(from, announce, out);
  if (!announce.block().reliable()) orphan_since_.erase({key.stream, key.incarnation});
  const uint64_t last = state_->LastNumber(key.stream, key.incarnation);
  if (key.number > last + 1) {
    const bool awaits = members_->ReceiverAlive(key.stream, key.incarnation);
    if (!awaits && !announce.block().reliable()) return KeepUnlogged(announce);
    unlogged_.erase(key);
    early_[key] = {from, announce};
    return;
  }
  unlogged_.erase(key);
  if (LoggedBlock* block = state_->FindBlock(key)) {
    NoteHolders(key, announce);
    const bool stored = announce.block().in_store() && !block->info.in_store() &&
                        !state_->Forgotten(key.stream, key.incarnation);
    UpdateHolders(*block, key, HoldersIn(announce), stored);
    replicating_.erase(key);
    restoring_.erase(key);
    SendVerdict(from, announce.block(), true, out);
    return;
  }
  if (key.number <= last) {
    // Added and collected since, or refused: the producers' numbers tell which.
    const auto& ranges = announce.block().producers();
    const bool sealed = announce.block().records() > 0;
    const bool logged = sealed && std::all_of(ranges.begin(), ranges.end(), [&](const auto& range) {
      return range.last() <= state_->LastOfProducer(key.stream, range.producer());
    });
    SendVerdict(from, announce.block(), logged, out);
    for (const std::string& holder : announce.holders()) ReleaseAt(holder, key);
    return;
  }
  AddInOrder(from, announce, out);
  AddHeld(key.stream, key.incarnation, out);
}

void BlockDesk::KeepUnlogged(const proto::BlockAnnounce& announce) {
  Unlogged& unlogged = unlogged_[BlockIdOf(announce.block().name())];
  unlogged.info = announce.block();
  for (const std::string& holder : HoldersIn(announce)) {
    unlogged.workers[holder] = members_->IncarnationOf(holder);
  }
  check_copies_ = true;
}

std::vector<std::string> BlockDesk::HoldersIn(const proto::BlockAnnounce& announce) const {
  std::vector<std::string> holders;
  for (int i = 0; i < std::min(announce.holders_size(), announce.incarnations_size()); ++i) {
    const std::string& holder = announce.holders(i);
    if (announce.incarnations(i) == members_->IncarnationOf(holder)) holders.push_back(holder);
  }
  return holders;
}

void BlockDesk::NoteHolders(const BlockId& key, const proto::BlockAnnounce& announce) {
  for (const std::string& holder : HoldersIn(announce)) NoteHeld(holder, key);
  if (StayingHoldersOf(key).size() < options_.replication) check_copies_ = true;
}

void BlockDesk::AddInOrder(const std::string& from, const proto::BlockAnnounce& announce,
                           std::vector<DriverCommand>& out) {
  // What was dropped may still have been announced before: its holders have it no more. What is
  // said to be in the received-data log may have been collected from it (received_collection.h):
  // a reliable source, which would be told that it is safe there, sends it again. One without
  // records could not be sealed.
  const BlockId key = BlockIdOf(announce.block().name());
  const bool forgotten = state_->Forgotten(key.stream, key.incarnation);
  const bool former =
      refuse_former_ && !members_->ReceiverAlive(key.stream, key.incarnation);
  const bool accepted =
      announce.block().records() > 0 && !dropped_.contains(key) && !former &&
      !(forgotten && announce.block().in_store() && announce.block().reliable()) &&
      (kMutationProducerNumberNotChecked || state_->ProducersFollow(announce.block()));
  proto::Entry entry;
  auto& added = *entry.mutable_block_added();
  if (accepted) {
    *added.mutable_block() = announce.block();
    if (forgotten) added.mutable_block()->set_in_store(false);
    *added.mutable_holders() = announce.holders();
    NoteHolders(key, announce);
  } else {  // its holders drop it
    for (auto& [worker, held] : held_) held.erase(key);
    *added.mutable_block()->mutable_name() = announce.block().name();  // its number is used up
  }
  log_->Enqueue(std::move(entry));
  SendVerdict(from, announce.block(), accepted, out);
}

void BlockDesk::AddHeld(uint32_t stream, uint64_t incarnation, std::vector<DriverCommand>& out) {
  while (true) {
    const BlockId next{stream, incarnation, state_->LastNumber(stream, incarnation) + 1};
    const auto it = early_.find(next);
    if (it == early_.end()) return;
    const HeldBack held = std::move(it->second);
    early_.erase(it);
    AddInOrder(held.from, held.announce, out);
  }
}

void BlockDesk::OnInventory(const proto::WorkerInventory& inventory) {
  // A late one, of a daemon that was started anew since, tells what was lost with it.
  if (inventory.incarnation() != members_->IncarnationOf(inventory.worker_id())) return;
  auto& held = held_[inventory.worker_id()];
  // What was announced since the session that this answers was sent may be newer than the answer,
  // unless it is of the daemon that was there before: a session may be older than its successor.
  std::erase_if(held, [&](const auto& entry) {
    return entry.second.session < inventory.session() ||
           entry.second.incarnation != inventory.incarnation();
  });
  differs_since_.erase(inventory.worker_id());
  check_copies_ = true;
  for (const auto& block : inventory.blocks()) {
    const BlockId key = BlockIdOf(block.name());
    held[key] = {inventory.incarnation(), inventory.session()};
    if (key.stream == kDeltaStream) continue;
    if (LoggedBlock* logged = state_->FindBlock(key)) {
      UpdateHolders(*logged, key, {inventory.worker_id()});
      continue;
    }
    if (key.number <= state_->LastNumber(key.stream, key.incarnation)) {
      ReleaseAt(inventory.worker_id(), key);  // covered, or refused
      continue;
    }
    Unlogged& unlogged = unlogged_[key];
    unlogged.info = block;
    unlogged.workers[inventory.worker_id()] = inventory.incarnation();
  }
  SweepDeltas();
}

void BlockDesk::OnBeat(MonotonicTime now, const proto::LeaseBeat& beat) {
  if (beat.incarnation() != members_->IncarnationOf(beat.worker_id())) return;
  releases_.OnTaken(beat);
  const std::string& worker = beat.worker_id();
  const auto held = held_.find(worker);
  const uint64_t known = held == held_.end() ? 0 : held->second.size();
  if (beat.epoch() == epoch_ && Fires(FaultPoint::kInventoryAsked)) members_->AskInventory(worker);
  if (beat.epoch() != epoch_ || beat.blocks() == known) {
    differs_since_.erase(worker);
    return;
  }
  const auto [since, fresh] = differs_since_.try_emplace(worker, now);
  if (fresh || now - since->second < kDiffersLeases * options_.lease_us) return;
  differs_since_.erase(since);
  members_->AskInventory(worker);
}

void BlockDesk::OnWorkerLost(const std::string& worker_id) {
  releases_.OnWorkerLost(worker_id);
  check_copies_ = true;
}

void BlockDesk::OnWorkerForgotten(const std::string& worker_id) {
  releases_.OnWorkerLost(worker_id);
  held_.erase(worker_id);
  differs_since_.erase(worker_id);
}

// Its daemon announces again what a living receiver sealed. Of a dead one, what an unreliable
// source sent is all there is and is added; what a reliable source sent was never acknowledged.
void BlockDesk::OnReceiverDead(uint32_t stream, uint64_t incarnation) {
  const auto of_it = [&](const BlockId& key) {
    return key.stream == stream && key.incarnation == incarnation;
  };
  for (auto it = early_.begin(); it != early_.end();) {
    if (of_it(it->first) && !it->second.announce.block().reliable()) {
      KeepUnlogged(it->second.announce);
    }
    it = of_it(it->first) ? early_.erase(it) : std::next(it);
  }
}

void BlockDesk::OnOrphans(MonotonicTime now, const ReceivedOrphans& orphans) {
  if (!members_->InventoriesIn()) return;  // one may be alive at a worker that has not answered
  const auto former = std::exchange(orphan_since_, {});
  for (const auto& [stream, incarnation] : orphans.receivers) {
    if (members_->ReceiverAlive(stream, incarnation)) continue;
    const bool unlogged =
        std::any_of(unlogged_.begin(), unlogged_.end(), [&](const auto& entry) {
          return entry.first.stream == stream && entry.first.incarnation == incarnation;
        });
    if (unlogged) continue;  // a block of it may be added yet, and counts as stored
    if (state_->Forgotten(stream, incarnation)) continue;
    const auto found = former.find({stream, incarnation});
    const MonotonicTime since = found == former.end() ? now : found->second;
    if (now - since < kOrphanLeases * options_.lease_us) {
      orphan_since_[{stream, incarnation}] = since;
      continue;
    }
    proto::Entry entry;
    entry.mutable_receiver_retired()->set_stream(stream);
    entry.mutable_receiver_retired()->set_incarnation(incarnation);
    entry.mutable_receiver_retired()->set_forgotten(true);
    log_->Enqueue(std::move(entry));
  }
}

void BlockDesk::OnTimer(MonotonicTime now, std::vector<DriverCommand>& out) {
  const bool due = (check_copies_ || check_deltas_) && now - checked_ >= kCheckCopiesUs;
  if (due && members_->InventoriesIn()) {
    checked_ = now;
    CheckUnlogged(out);
    check_copies_ = CheckCopies(now, out) || !unlogged_.empty();
  }
  releases_.Advance(now, out);
}

bool BlockDesk::IsServed(const Unlogged& block) const {
  return std::any_of(
      block.workers.begin(), block.workers.end(),
      [&](const auto& holder) { return members_->WorkerServes(holder.first); });
}

bool BlockDesk::AwaitsBlocks() const {
  if (refuse_former_) return false;
  return std::any_of(unlogged_.begin(), unlogged_.end(), [&](const auto& entry) {
    const auto& [key, block] = entry;
    return !block.info.reliable() && (block.info.in_store() || IsServed(block)) &&
           key.number > state_->LastNumber(key.stream, key.incarnation);
  });
}

// Of a source that cannot send again: nobody has it, or nobody who is waited for.
bool BlockDesk::IsGone(const Unlogged& block) const {
  if (block.info.reliable() || block.info.in_store()) return false;
  return block.workers.empty() || (draining_ && !IsServed(block));
}

// Of a block that the log does not know: it will be announced, or what is before it may come yet.
bool BlockDesk::IsAwaited(const BlockId& key, Unlogged& block) {
  const proto::BlockInfo& info = block.info;
  const uint64_t last = state_->LastNumber(key.stream, key.incarnation);
  if (members_->ReceiverAlive(key.stream, key.incarnation)) return true;  // by its daemon
  if (info.reliable() || key.number <= last) return false;
  const bool served = IsServed(block);
  if (!served && !info.in_store()) return true;  // a silent worker may come back with it
  // By whoever has it, when it is in the received-data log.
  const bool unstored = !options_.received_log.empty() && !info.in_store();
  if (unstored && !refuse_former_) return true;
  if (key.number == last + 1) return false;
  // What is before it may be stored by a worker that has not said so yet.
  if (!std::exchange(block.asked, true)) {
    for (const auto& [worker, entry] : members_->workers()) members_->AskInventory(worker);
    return true;
  }
  return !members_->SessionsTaken();
}

// What inventories showed and the log does not know.
void BlockDesk::CheckUnlogged(std::vector<DriverCommand>& out) {
  std::pair<uint32_t, uint64_t> awaited;  // stream and incarnation: those behind it wait as well
  for (auto it = unlogged_.begin(); it != unlogged_.end();) {
    const BlockId key = it->first;
    const uint64_t last = state_->LastNumber(key.stream, key.incarnation);
    const std::pair incarnation(key.stream, key.incarnation);
    std::erase_if(it->second.workers, [&](const auto& holder) {
      return members_->HasEnded(holder.first, holder.second);
    });
    const proto::BlockInfo& info = it->second.info;
    if (IsGone(it->second)) {
      it = unlogged_.erase(it);
      continue;
    }
    if (awaited == incarnation || IsAwaited(key, it->second)) {
      awaited = incarnation;
      ++it;
      continue;
    }
    if (info.reliable() || refuse_former_) {
      dropped_.insert(key);
      if (last + 1 == key.number) {
        // Its number is used up: should the receiver live after all, its next block may follow.
        proto::Entry entry;
        *entry.mutable_block_added()->mutable_block()->mutable_name() = info.name();
        log_->Enqueue(std::move(entry));
      }
      for (const auto& [worker, incarnation] : it->second.workers) ReleaseAt(worker, key);
    } else if (last < key.number) {
      proto::BlockAnnounce announce;
      *announce.mutable_block() = info;
      for (const auto& [worker, incarnation] : it->second.workers) {
        announce.add_holders(worker);
        announce.add_incarnations(incarnation);
      }
      AddInOrder("", announce, out);
    }
    it = unlogged_.erase(it);
  }
}

void BlockDesk::Release(const std::vector<BlockId>& blocks) {
  for (const BlockId& key : blocks) {
    replicating_.erase(key);
    restoring_.erase(key);
    for (auto& [worker, held] : held_) {
      if (held.erase(key) != 0) releases_.Add(worker, key);
    }
  }
}

void BlockDesk::ReleaseAt(const std::string& worker, const BlockId& key) {
  held_[worker].erase(key);
  releases_.Add(worker, key);
}

std::vector<std::string> BlockDesk::HoldersOf(const BlockId& key) const {
  std::vector<std::string> holders;
  for (const auto& [worker, held] : held_) {
    if (held.contains(key) && members_->WorkerServes(worker)) holders.push_back(worker);
  }
  return holders;
}

std::vector<std::string> BlockDesk::StayingHoldersOf(const BlockId& key) const {
  std::vector<std::string> holders = HoldersOf(key);
  std::erase_if(holders, [&](const auto& worker) { return !members_->WorkerStays(worker); });
  return holders;
}

void BlockDesk::SendVerdict(const std::string& to, const proto::BlockInfo& block, bool accepted,
                            std::vector<DriverCommand>& out) {
  if (to.empty()) return;
  Send send{to, {}};
  auto& verdict = *send.message.mutable_block_verdict();
  *verdict.mutable_name() = block.name();
  verdict.set_accepted(accepted);
  for (const auto& range : block.producers()) {
    auto& last = *verdict.add_last();
    last.set_producer(range.producer());
    last.set_last(state_->LastOfProducer(block.name().stream(), range.producer()));
  }
  log_->AfterDurable(std::move(send));
  log_->TakeDue(out);
}

void BlockDesk::UpdateHolders(LoggedBlock& block, const BlockId& key,
                              const std::vector<std::string>& holders, bool stored) {
  std::vector<std::string> all = block.holders;
  for (const std::string& holder : holders) {
    if (std::find(all.begin(), all.end(), holder) == all.end()) all.push_back(holder);
  }
  if (all.size() == block.holders.size() && !stored) return;
  // A name that is gone would keep a lost block alive; one that is dropped before its worker has
  // answered would give up a block that it has.
  std::erase_if(all, [&](const std::string& id) {
    const auto worker = members_->workers().find(id);
    if (held_[id].contains(key) || worker == members_->workers().end()) return false;
    return worker->second.lost ? worker->second.gone : worker->second.answered;
  });
  proto::Entry entry;
  *entry.mutable_block_added()->mutable_block() = block.info;
  if (stored) entry.mutable_block_added()->mutable_block()->set_in_store(true);
  for (const std::string& holder : all) entry.mutable_block_added()->add_holders(holder);
  log_->Enqueue(std::move(entry));
}

}  // namespace sluice
