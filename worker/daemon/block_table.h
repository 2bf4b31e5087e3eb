// The life of a block in its daemon: sealed, replicated, announced, logged, released. Bookkeeping
// only; the bytes are in the block store.
//
// Invariants:
//   1. the blocks of one receiver incarnation are stored in the order of their numbers, and the
//      next one is announced only when the verdict on the one before is in: the log never sees a
//      number before a lower one. Of one that could not be sealed, or cannot be read any more, the
//      number is announced alone;
//   2. a block is announced with the holders that said they have it since the session with this job
//      driver began, or before any was told of the block, never with a hope;
//   3. where the job has a received-data log, a block is in it before it is announced;
//   4. an announcement is repeated until there is a verdict, and again in a new epoch;
//   5. a block leaves only by release, refusal, the end of its job, when it can never be read
//      again, or, of a reliable source whose receiver died, when no driver was ever told of it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "worker/daemon/job_table.h"
#include "worker/daemon/worker_events.h"

namespace sluice {

class BlockTable {
 public:
  // Both outlive the table.
  BlockTable(const WorkerConfig& config, const WorkerJobs& jobs) : config_(config), jobs_(jobs) {}

  // ---- from receivers. `reply_to` is the executor's address.
  void OnSealSlices(const ExecutorKey& executor, const std::string& reply_to,
                    proto::SealSlices message, worker::Commands& out);
  void OnSliceStored(MonotonicTime now, worker::SliceStored event, worker::Commands& out);
  // The receiver executor is dead: what an unreliable source had delivered is sealed, what a
  // reliable one will send again and no driver was told of is dropped.
  void OnReceiverDead(MonotonicTime now, const ExecutorKey& executor,
                      const std::vector<worker::LeftInArena>& left, worker::Commands& out);
  // Slices of this executor still wait to be stored.
  bool Storing(const ExecutorKey& executor) const;
  // Its blocks that are sealed or waiting for it and were not announced in this epoch.
  std::set<BlockKey> Unannounced(const ExecutorKey& executor) const;
  // The same of all receivers of a job, also of those that have ended here or at a peer.
  std::set<BlockKey> UnannouncedOf(uint64_t job_instance) const;
  // Blocks that were announced or have gone since the last call.
  std::vector<BlockKey> TakeSettled();

  // ---- from peers
  void OnCopyStored(const worker::CopyStored& event, worker::Commands& out);
  void OnCopied(MonotonicTime now, const std::string& from, const proto::BlockCopied& message,
                worker::Commands& out);
  void OnCopyUnreadable(MonotonicTime now, const worker::CopyUnreadable& event,
                        worker::Commands& out);

  // ---- from the received-data log
  void OnBlockLogged(MonotonicTime now, const worker::BlockLogged& event, worker::Commands& out);
  void OnLoggedRead(MonotonicTime now, const worker::LoggedRead& event, worker::Commands& out);

  void OnPeerDown(MonotonicTime now, const std::string& address, bool refused,
                  worker::Commands& out);
  void OnLinkReset(MonotonicTime now, const std::string& address, worker::Commands& out);

  // ---- from the job driver
  // Returns the receiver executor that waits for it, if it is one of ours.
  std::optional<ExecutorKey> OnVerdict(MonotonicTime now, const proto::BlockVerdict& verdict,
                                       worker::Commands& out);
  // Returns the blocks released without a verdict, with the receivers that wait for one.
  std::vector<std::pair<ExecutorKey, BlockKey>> OnRelease(MonotonicTime now,
                                                          const proto::ReleaseBlocks& message,
                                                          worker::Commands& out);
  void OnReplicate(MonotonicTime now, const proto::ReplicateBlock& message, worker::Commands& out);
  void OnRestore(MonotonicTime now, const proto::RestoreBlock& message, worker::Commands& out);
  // Before the members of its session.
  void OnNewEpoch(uint64_t job_instance);
  void OnMembers(MonotonicTime now, uint64_t job_instance, worker::Commands& out);
  // `epoch`: the last of the job's life that ended. A later one takes it up again.
  void OnJobEnded(uint64_t job_instance, uint64_t epoch, worker::Commands& out);
  void OnSession(uint64_t job_instance, uint64_t epoch);
  bool Ended(uint64_t job_instance) const { return ended_.contains(job_instance); }

  void Tick(MonotonicTime now, worker::Commands& out);
  void AppendInventory(uint64_t job_instance, proto::WorkerInventory* inventory) const;
  uint64_t Count(uint64_t job_instance) const;
  uint64_t UnderReplicated() const;

  // Draining: copies to peers what no worker that stays holds, and announces it. True when there is
  // nothing of that kind any more, and the members that it knows name this daemon as draining.
  bool HandOver(MonotonicTime now, worker::Commands& out);
  uint64_t SoleCopies() const;

 private:
  enum class Stage {
    kReplicating,  // not yet on enough workers
    kReady,        // waits for its turn to be announced
    kAnnounced,    // waits for its verdict
    kLogged,
    kHeld,         // a peer's block; its daemon announces it
  };
  struct Copying {
    std::string worker_id;
    uint64_t incarnation = 0;
    std::string address;
    MonotonicTime sent = 0;
  };
  struct Block {
    proto::BlockInfo info;
    Stage stage = Stage::kReplicating;
    std::optional<ExecutorKey> receiver;  // sealed here by it
    std::string copy_from;                // address of the daemon that sent it
    uint64_t copy_from_incarnation = 0;   // of that daemon
    bool sender_may_lack = false;         // there was another job driver since it sent it
    // By worker id, this one included, the incarnation of the daemon that has it; none: it was
    // never sealed, or cannot be read.
    std::map<std::string, uint64_t> holders;
    std::set<std::string> tried;          // peers that did not take it, or not in time
    std::optional<Copying> copying;
    MonotonicTime retry_at = 0;
    MonotonicTime announced_at = 0;
    bool announced_ever = false;
    int tell_again = 0;                   // holders changed after the verdict: announcements left
    bool logging = false;                 // on its way into the received-data log
    MonotonicTime log_at = 0;             // not before
    MonotonicTime log_backoff = 0;
  };
  struct WaitingStore {
    ExecutorKey executor;
    std::string reply_to;  // empty: the executor is dead
    proto::SealSlices::Slice slice;
  };
  struct Incarnation {
    std::deque<WaitingStore> stores;
    bool storing = false;         // the first of `stores` is with the block store
    MonotonicTime retry_at = 0;   // there was no room
    bool said_no_room = false;
    uint64_t last_stored = 0;
    uint64_t last_queued = 0;
    std::set<uint64_t> unlogged;  // numbers that are to be announced
  };
  using Blocks = std::map<BlockKey, Block>;
  static constexpr int64_t kRetryAllUs = 500'000;  // too few copies: all peers are tried again

  const WorkerJob* JobOf(const BlockKey& key) const;
  std::map<std::string, uint64_t> HeldHere() const {
    return {{config_.worker_id, config_.incarnation}};
  }
  bool HasCopy(const Block& block) const { return block.holders.contains(config_.worker_id); }
  static BlockKey IncarnationOf(const BlockKey& key) {
    BlockKey incarnation = key;
    incarnation.number = 0;
    return incarnation;
  }
  void StoreNext(Incarnation& incarnation, worker::Commands& out);
  void QueueLeft(const ExecutorKey& executor, const worker::LeftInArena& left);
  void NoRoom(MonotonicTime now, Incarnation& incarnation, worker::SliceStored& event,
              worker::Commands& out);
  void RetryStores(MonotonicTime now, worker::Commands& out);

  void Replicate(MonotonicTime now, const BlockKey& key, worker::Commands& out);
  // True when the block need not be written to the received-data log, or is there.
  bool Logged(MonotonicTime now, const WorkerJob& job, Block& block, worker::Commands& out);
  // The peer that a block goes to now. Null: there is none, or it has enough under way (`crowded`).
  const proto::ClusterMembers::Member* PeerWithRoom(MonotonicTime now, const WorkerJob& job,
                                                    const BlockKey& key, bool* crowded);
  bool MayCopyTo(const std::string& address, const Block& block) const;
  void EndCopy(Block& block);
  void CopyTo(MonotonicTime now, Block& block, const proto::ClusterMembers::Member& peer,
              worker::Commands& out);
  void CopyFailed(MonotonicTime now, const BlockKey& key, bool for_good, worker::Commands& out);
  void AnnounceNext(MonotonicTime now, const BlockKey& incarnation, worker::Commands& out);
  void Announce(MonotonicTime now, const WorkerJob& job, Block& block, worker::Commands& out);
  const proto::ClusterMembers::Member* ChoosePeer(const WorkerJob& job, const Block& block) const;
  void CheckCopying(MonotonicTime now, const WorkerJob& job, const BlockKey& key,
                    worker::Commands& out);
  void DropDamaged(MonotonicTime now, Blocks::iterator block, const std::string& error,
                   worker::Commands& out);
  void Adopt(MonotonicTime now, const BlockKey& key, worker::Commands& out);
  void Remove(Blocks::iterator block, bool at_peers, worker::Commands& out);
  // The daemon that sent a copy, if it is a member and was not started anew since; or null.
  const proto::ClusterMembers::Member* OriginOf(const WorkerJob& job, const Block& block) const;
  // No worker that stays is known to have it.
  bool SoleCopy(const WorkerJob& job, const Block& block) const;
  bool ToldOfDrain(const WorkerJob& job) const;

  const WorkerConfig& config_;
  const WorkerJobs& jobs_;
  Blocks blocks_;
  std::map<BlockKey, Incarnation> incarnations_;  // by name with number 0
  // By address of a peer: what was sent to it and is not answered. A link that is given more than
  // it holds breaks, and all of it goes out again.
  struct UnderWay {
    uint64_t copies = 0;
    uint64_t bytes = 0;
  };
  std::map<std::string, UnderWay> under_way_;
  std::map<BlockKey, MonotonicTime> crowded_;     // incarnations whose peer takes no more till then
  std::set<BlockKey> active_;                     // blocks that Tick has to look at
  std::vector<BlockKey> settled_;
  std::set<BlockKey> restoring_;                  // being read from the received-data log
  std::map<uint64_t, uint64_t> ended_;            // job instance to its last epoch
  std::deque<uint64_t> ended_order_;
};

}  // namespace sluice
