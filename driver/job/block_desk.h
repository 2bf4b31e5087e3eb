// The job driver's book of received blocks: what was announced, who holds it, what is lost.
// The rules are design section 5's: a block is added once, in the order of its incarnation's
// numbers, and only where each producer's numbers go on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "driver/job/block_releases.h"
#include "driver/job/commands.h"
#include "driver/job/job_options.h"
#include "driver/job/job_state.h"
#include "driver/job/log_queue.h"
#include "driver/job/membership.h"

namespace sluice {

// Not thread-safe.
class BlockDesk {
 public:
  BlockDesk(const JobDriverOptions& options, JobState* state, LogQueue* log, Membership* members,
            uint64_t epoch)
      : options_(options), state_(state), log_(log), members_(members), epoch_(epoch),
        releases_(state, log, members, epoch) {}

  // This driver's program is another one than its predecessor's: what receivers of that one left,
  // or still send, is no input of this one.
  void RefuseFormerReceivers() { refuse_former_ = true; }

  void OnAnnounce(const std::string& from, const proto::BlockAnnounce& announce,
                  std::vector<DriverCommand>& out);
  void OnInventory(const proto::WorkerInventory& inventory);
  // A worker could not read a block from the received-data log.
  void OnNotRestored(const proto::BlockNotRestored& failed, std::vector<DriverCommand>& out);
  // Receivers that are no more, and of which nothing was heard for long, add nothing to the
  // received-data log, from now on.
  void OnOrphans(MonotonicTime now, const ReceivedOrphans& orphans);
  // A worker found its copy damaged and dropped it.
  void OnCopyGone(const proto::BlockCopied& gone, std::vector<DriverCommand>& out);
  // A worker that said it has this block cannot give it: it counts as a holder no more.
  void OnUnreadable(const std::string& worker_id, const BlockId& key,
                    std::vector<DriverCommand>& out);
  // A worker that holds more blocks than it should know of is asked which, after a while.
  void OnBeat(MonotonicTime now, const proto::LeaseBeat& beat);
  void OnWorkerLost(const std::string& worker_id);
  void OnWorkerForgotten(const std::string& worker_id);
  void OnReceiverDead(uint32_t stream, uint64_t incarnation);
  // Asks for further copies of blocks that have too few; drops what a dead receiver left; sends
  // releases.
  void OnTimer(MonotonicTime now, std::vector<DriverCommand>& out);
  // Covered by a sealed checkpoint: nobody needs these any more.
  void Release(const std::vector<BlockId>& blocks);
  // Blocks that hold changes of state are no input: what was announced of one in this epoch; null:
  // nothing. Those that nothing needs any more are released.
  const proto::BlockInfo* FindDelta(const BlockId& key) const;
  void SweepDeltas();

  std::vector<std::string> HoldersOf(const BlockId& key) const;  // serving workers, by id
  std::vector<std::string> StayingHoldersOf(const BlockId& key) const;  // those that do not drain
  // Every holder that the log names has answered without it, or is gone for good, and it is not
  // in the received-data log either.
  bool IsLost(MonotonicTime now, const BlockId& key) const;
  // Planned or waiting blocks that are lost and not accepted as such.
  std::vector<BlockId> LostBlocks(MonotonicTime now) const;
  // Blocks of a source that cannot send again are in the received-data log or with a worker that
  // serves, and will be added: when what is before them is, or when they are in that log.
  bool AwaitsBlocks() const;
  // The job is to end: what only silent workers have of such a source is waited for no longer.
  void BeginDrain() { draining_ = true; }
  // At least 1 while a change of holders has not been looked at.
  uint64_t under_replicated() const {
    return std::max<uint64_t>(under_replicated_, check_copies_ ? 1 : 0);
  }

 private:
  void AddInOrder(const std::string& from, const proto::BlockAnnounce& announce,
                  std::vector<DriverCommand>& out);
  void OnDelta(const std::string& from, const proto::BlockAnnounce& announce,
               std::vector<DriverCommand>& out);
  // A block of a receiver that is no more, behind others that may come yet or be lost.
  void KeepUnlogged(const proto::BlockAnnounce& announce);
  // Those that an announcement names and that were not started anew since.
  std::vector<std::string> HoldersIn(const proto::BlockAnnounce& announce) const;
  void NoteHolders(const BlockId& key, const proto::BlockAnnounce& announce);
  void AddHeld(uint32_t stream, uint64_t incarnation, std::vector<DriverCommand>& out);
  void SendVerdict(const std::string& to, const proto::BlockInfo& block, bool accepted,
                   std::vector<DriverCommand>& out);
  // `stored`: it is in the received-data log by now.
  void UpdateHolders(LoggedBlock& block, const BlockId& key,
                     const std::vector<std::string>& holders, bool stored = false);
  void ReleaseAt(const std::string& worker, const BlockId& key);
  void CheckUnlogged(std::vector<DriverCommand>& out);
  bool NoWorkerHas(MonotonicTime now, const BlockId& key) const;
  bool Needed(const LoggedBlock& block) const;
  // By the batches that need them, the oldest first.
  using Lacking = std::vector<std::pair<int64_t, BlockId>>;
  void Restore(MonotonicTime now, Lacking lacking, std::vector<DriverCommand>& out);
  bool CheckCopies(MonotonicTime now, std::vector<DriverCommand>& out);
  // Blocks of deltas that no sealed checkpoint has outdated.
  std::map<BlockId, const proto::BlockInfo*> NeededDeltas() const;
  struct Copies {
    bool enough = false;
    std::string source;  // that is to make one more; empty: no worker has one
    std::string target;  // that is to take it; empty: no worker can
  };
  Copies CopiesOf(const BlockId& key) const;
  struct UnderWay;
  void AskForCopy(MonotonicTime now, const proto::BlockInfo& block, const Copies& copies,
                  std::map<std::string, UnderWay>& under_way, std::vector<DriverCommand>& out);

  // Read back from the received-data log.
  struct Restoring {
    std::optional<MonotonicTime> asked;  // and not answered
    std::string worker;                  // that was asked last
    std::set<std::string> gone_at;       // workers that did not find it there, or not whole
  };
  // The worker that is to read it; empty: there is none that has not found it gone.
  std::string RestorerOf(const Restoring& restoring) const;
  bool GoneFromStore(const BlockId& key) const;

  // What a worker said it has: its daemon's incarnation and the number of its session at that time.
  struct Held {
    uint64_t incarnation = 0;
    uint64_t session = 0;
  };
  void NoteHeld(const std::string& worker, const BlockId& key) {
    held_[worker][key] = {members_->IncarnationOf(worker), members_->SessionOf(worker)};
  }
  struct HeldBack {
    std::string from;
    proto::BlockAnnounce announce;
  };
  struct Delta {
    proto::BlockInfo info;
    int64_t planned_ms = 0;  // the last planned batch when it came: its own, or a later one
  };
  struct Unlogged {
    proto::BlockInfo info;
    std::map<std::string, uint64_t> workers;  // with the incarnation that has it
    bool asked = false;                       // for what is before it, since this is known
  };
  bool IsServed(const Unlogged& block) const;
  bool IsAwaited(const BlockId& key, Unlogged& block);
  bool IsGone(const Unlogged& block) const;

  const JobDriverOptions& options_;
  JobState* state_;
  LogQueue* log_;
  Membership* members_;
  const uint64_t epoch_;
  BlockReleases releases_;
  std::map<std::string, std::map<BlockId, Held>> held_;  // by worker
  std::map<std::string, MonotonicTime> differs_since_;  // by worker: its count of blocks from ours
  std::map<BlockId, HeldBack> early_;                   // a predecessor is still on its way
  std::map<BlockId, Unlogged> unlogged_;                // in inventories, or behind a gap
  std::map<BlockId, Delta> deltas_;                     // announced in this epoch
  std::map<uint64_t, uint64_t> last_deltas_;            // their highest number, by incarnation
  // Held by workers before they are announced: the last batch that was planned then.
  std::map<BlockId, int64_t> unannounced_;
  std::set<BlockId> dropped_;                           // released without having been logged
  // By stream and incarnation, of those that are no more: since when nothing is heard of it.
  std::map<std::pair<uint32_t, uint64_t>, MonotonicTime> orphan_since_;
  struct Asked {
    MonotonicTime at = 0;
    std::string source;  // the holder that is to copy it
    uint64_t bytes = 0;
  };
  std::map<BlockId, Asked> replicating_;
  std::map<BlockId, Restoring> restoring_;
  std::string last_restorer_;                           // the next block is another worker's turn
  uint64_t under_replicated_ = 0;
  bool check_copies_ = true;
  bool check_deltas_ = false;
  bool refuse_former_ = false;
  bool draining_ = false;
  MonotonicTime checked_ = 0;
};

}  // namespace sluice
