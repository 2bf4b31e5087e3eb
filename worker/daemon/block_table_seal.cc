// Blocks on their way from a receiver into the store.
#include <algorithm>

#include "common/delta_stream.h"
#include "worker/daemon/block_names.h"
#include "worker/daemon/block_table.h"

namespace sluice {
namespace {

constexpr int64_t kRetryStoreUs = 200'000;

void Reply(const std::string& to, const proto::SealSlices::Slice& slice, bool freed,
           const std::string& reason, worker::Commands& out) {
  if (to.empty()) return;
  Send send{to, {}};
  auto* message = send.message.mutable_sealed_slices();
  if (freed) message->add_arena_offsets(slice.arena_offset());
  if (!reason.empty()) {
    *message->add_refused() = slice.block().name();
    message->set_reason(reason);
  }
  out.push_back(std::move(send));
}

}  // namespace

void BlockTable::OnSealSlices(const ExecutorKey& executor, const std::string& reply_to,
                              proto::SealSlices message, worker::Commands& out) {
  for (auto& slice : *message.mutable_slices()) {
    const BlockKey key = KeyOf(slice.block().name());
    Incarnation& incarnation = incarnations_[IncarnationOf(key)];
    if (key.number <= incarnation.last_stored) {
      Reply(reply_to, slice, /*freed=*/true, "", out);
    } else if (key.number <= incarnation.last_queued) {
      continue;  // sent again while it waits
    } else if (key.number != incarnation.last_queued + 1) {
      Reply(reply_to, slice, /*freed=*/false, "a block before it is missing", out);
    } else {
      ++incarnation.last_queued;
      incarnation.stores.push_back({executor, reply_to, std::move(slice)});
      if (!incarnation.said_no_room) StoreNext(incarnation, out);
    }
  }
}

void BlockTable::StoreNext(Incarnation& incarnation, worker::Commands& out) {
  if (incarnation.storing || incarnation.stores.empty()) return;
  incarnation.storing = true;
  WaitingStore& first = incarnation.stores.front();
  // The bytes of an inlined slice go along and come back if there is no room.
  std::string inlined = std::move(*first.slice.mutable_inlined());
  first.slice.clear_inlined();
  worker::StoreSlice command{first.executor, first.slice};
  if (!inlined.empty()) command.slice.set_inlined(std::move(inlined));
  out.push_back(std::move(command));
}

void BlockTable::NoRoom(MonotonicTime now, Incarnation& incarnation, worker::SliceStored& event,
                        worker::Commands& out) {
  if (incarnation.stores.empty()) return;
  WaitingStore& first = incarnation.stores.front();
  if (!event.inlined.empty()) first.slice.set_inlined(std::move(event.inlined));
  incarnation.retry_at = now + kRetryStoreUs;
  if (incarnation.said_no_room) return;
  incarnation.said_no_room = true;
  Reply(first.reply_to, first.slice, /*freed=*/false, event.error, out);
  out.push_back(worker::Say{"intake waits for room: " + event.error});
}

void BlockTable::RetryStores(MonotonicTime now, worker::Commands& out) {
  for (auto& [name, incarnation] : incarnations_) {
    if (!incarnation.stores.empty() && now >= incarnation.retry_at) StoreNext(incarnation, out);
  }
}

void BlockTable::OnSliceStored(MonotonicTime now, worker::SliceStored event,
                               worker::Commands& out) {
  const BlockKey key = KeyOf(event.info.name());
  auto found = incarnations_.find(IncarnationOf(key));
  if (found == incarnations_.end()) {  // the job has ended meanwhile
    if (event.ok) out.push_back(worker::DropBlock{key});
    return;
  }
  Incarnation& incarnation = found->second;
  incarnation.storing = false;
  if (!event.ok && event.no_room) {
    NoRoom(now, incarnation, event, out);
    return;
  }
  incarnation.said_no_room = false;
  if (incarnation.stores.empty()) return;
  const WaitingStore store = std::move(incarnation.stores.front());
  incarnation.stores.pop_front();
  incarnation.last_stored = key.number;
  Reply(store.reply_to, store.slice, /*freed=*/true, event.ok ? "" : event.error, out);
  StoreNext(incarnation, out);
  if (!event.ok) {
    out.push_back(worker::Say{"block " + BlockText(key) + " was not sealed: " + event.error});
    if (key.stream == kDeltaStream) {  // the log does not count these
      settled_.push_back(key);
      return;
    }
  }
  Block& block = blocks_[key];
  block.receiver = store.executor;
  incarnation.unlogged.insert(key.number);
  active_.insert(key);
  if (event.ok) {
    block.info = event.info;
    block.holders = HeldHere();
    Replicate(now, key, out);
  } else {  // the next one could not follow, and the receiver is to hear of it
    *block.info.mutable_name() = event.info.name();
    block.info.set_reliable(event.info.reliable());
    block.stage = Stage::kReady;
    AnnounceNext(now, IncarnationOf(key), out);
  }
}

void BlockTable::QueueLeft(const ExecutorKey& executor, const worker::LeftInArena& left) {
  BlockKey key = left.block;
  Incarnation& incarnation = incarnations_[IncarnationOf(key)];
  if (key.number == 0) key.number = incarnation.last_queued + 1;
  if (key.number != incarnation.last_queued + 1) return;  // known, or a lie
  incarnation.last_queued = key.number;
  proto::SealSlices::Slice slice;
  *slice.mutable_block()->mutable_name() = NameOf(key);
  slice.mutable_block()->set_records(left.records);
  slice.mutable_block()->set_recovered(true);
  slice.set_arena_offset(left.arena_offset);
  incarnation.stores.push_back({executor, "", std::move(slice)});
}

void BlockTable::OnReceiverDead(MonotonicTime now, const ExecutorKey& executor,
                                const std::vector<worker::LeftInArena>& left,
                                worker::Commands& out) {
  (void)now;
  // What waited to be stored goes on for an unreliable source.
  for (auto& [name, incarnation] : incarnations_) {
    std::erase_if(incarnation.stores, [&, &incarnation = incarnation](const WaitingStore& store) {
      const bool in_store = incarnation.storing && &store == &incarnation.stores.front();
      const bool goes =
          store.executor == executor && store.slice.block().reliable() && !in_store;
      if (goes) settled_.push_back(KeyOf(store.slice.block().name()));
      return goes;
    });
    for (WaitingStore& store : incarnation.stores) {
      if (store.executor == executor) store.reply_to.clear();
    }
    if (incarnation.stores.empty()) incarnation.last_queued = incarnation.last_stored;
  }
  std::vector<worker::LeftInArena> slices;
  for (const worker::LeftInArena& slice : left) {
    if (!slice.reliable && slice.records > 0) slices.push_back(slice);
  }
  // Sealed slices in the order of their numbers, then the open ones.
  std::sort(slices.begin(), slices.end(), [](const auto& a, const auto& b) {
    return a.block.number - 1 < b.block.number - 1;  // number 0 is last
  });
  for (const worker::LeftInArena& slice : slices) QueueLeft(executor, slice);
  for (auto& [name, incarnation] : incarnations_) StoreNext(incarnation, out);
  for (auto block = blocks_.begin(); block != blocks_.end();) {
    auto next = std::next(block);
    if (block->second.receiver == executor) {
      if (block->second.info.reliable() && !block->second.announced_ever) {
        Remove(block, /*at_peers=*/true, out);
      }
    }
    block = next;
  }
}

bool BlockTable::Storing(const ExecutorKey& executor) const {
  for (const auto& [name, incarnation] : incarnations_) {
    for (const WaitingStore& store : incarnation.stores) {
      if (store.executor == executor) return true;
    }
  }
  return false;
}

std::set<BlockKey> BlockTable::Unannounced(const ExecutorKey& executor) const {
  std::set<BlockKey> keys;
  for (const auto& [name, incarnation] : incarnations_) {
    for (const WaitingStore& store : incarnation.stores) {
      if (store.executor == executor) keys.insert(KeyOf(store.slice.block().name()));
    }
    for (uint64_t number : incarnation.unlogged) {
      BlockKey key = name;
      key.number = number;
      const Block& block = blocks_.at(key);
      if (block.receiver == executor && block.stage < Stage::kAnnounced) keys.insert(key);
    }
  }
  return keys;
}

std::set<BlockKey> BlockTable::UnannouncedOf(uint64_t job_instance) const {
  std::set<BlockKey> keys;
  for (const auto& [name, incarnation] : incarnations_) {
    if (name.job_instance != job_instance || name.stream == kDeltaStream) continue;
    for (const WaitingStore& store : incarnation.stores) {
      keys.insert(KeyOf(store.slice.block().name()));
    }
    for (uint64_t number : incarnation.unlogged) {
      BlockKey key = name;
      key.number = number;
      if (blocks_.at(key).stage < Stage::kAnnounced) keys.insert(key);
    }
  }
  return keys;
}

std::vector<BlockKey> BlockTable::TakeSettled() { return std::exchange(settled_, {}); }

}  // namespace sluice
