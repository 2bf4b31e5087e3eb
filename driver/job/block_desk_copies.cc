// How many copies of each block there are, and what is done when they are too few or none.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/delta_stream.h"
#include "driver/job/block_desk.h"

namespace sluice {
namespace {

constexpr MonotonicTime kReplicateAgainUs = 3'000'000;
constexpr size_t kRestoresMax = 64;  // under way at a time
// One worker's word may be for itself alone: it sees the store as it was, or its memory is bad.
constexpr size_t kWordsThatItIsGone = 2;
// Copies that one holder is asked for at a time; a single block may be larger.
constexpr uint64_t kCopiesMax = 256;
constexpr uint64_t kCopyBytesMax = uint64_t{64} << 20;
// Deltas are asked for up to 1/2 of these only: input that lacks a copy later has room.
constexpr uint64_t kDeltasShare = 2;

}  // namespace

// Copies that one holder makes.
struct BlockDesk::UnderWay {
  uint64_t copies = 0;
  uint64_t bytes = 0;

  bool Takes(uint64_t more, bool delta) const {
    const uint64_t share = delta ? kDeltasShare : 1;
    return copies == 0 ||
           (copies < kCopiesMax / share && bytes + more <= kCopyBytesMax / share);
  }
  void Add(uint64_t more) {
    ++copies;
    bytes += more;
  }
};

// True when some block of input has too few copies and a worker that could take one, or none at
// all.
bool BlockDesk::CheckCopies(MonotonicTime now, std::vector<DriverCommand>& out) {
  under_replicated_ = 0;
  bool waiting = false;
  std::map<std::string, UnderWay> under_way;  // by source
  for (const auto& [key, asked] : replicating_) {
    if (now - asked.at < kReplicateAgainUs) under_way[asked.source].Add(asked.bytes);
  }
  Lacking lacking;
  for (const auto& [key, block] : state_->blocks()) {
    if (block.lost) continue;
    const std::vector<std::string> holders = HoldersOf(key);
    if (holders.empty()) {
      if (!Needed(block)) continue;
      ++under_replicated_;
      waiting = true;
      const int64_t batch_ms = block.batch_ms == 0 ? INT64_MAX : block.batch_ms;
      const bool stored = block.info.in_store() && NoWorkerHas(now, key);
      if (stored) lacking.emplace_back(batch_ms, key);
      continue;
    }
    const Copies copies = CopiesOf(key);
    if (copies.enough) continue;
    ++under_replicated_;
    if (copies.target.empty()) continue;
    waiting = true;
    AskForCopy(now, block.info, copies, under_way, out);
  }
  Restore(now, std::move(lacking), out);
  // What is left of the bounds is for deltas, which the next checkpoint outdates.
  check_deltas_ = false;
  for (const auto& [key, delta] : NeededDeltas()) {
    const Copies copies = CopiesOf(key);
    if (copies.enough || copies.target.empty()) continue;
    check_deltas_ = true;
    AskForCopy(now, *delta, copies, under_way, out);
  }
  return waiting;
}

// One that drains counts on a copy elsewhere, and two that drain would count on each other.
BlockDesk::Copies BlockDesk::CopiesOf(const BlockId& key) const {
  const std::vector<std::string> holders = HoldersOf(key);
  const std::vector<std::string> staying = StayingHoldersOf(key);
  Copies copies;
  copies.enough = staying.size() >= options_.replication;
  if (copies.enough || holders.empty()) return copies;
  copies.source = staying.empty() ? holders.front() : staying.front();
  for (const auto& [id, worker] : members_->workers()) {
    const bool holds = std::find(holders.begin(), holders.end(), id) != holders.end();
    if (holds || !members_->WorkerStays(id)) continue;
    const bool other_host = members_->HostOf(id) != members_->HostOf(copies.source);
    if (copies.target.empty() || other_host) copies.target = id;
  }
  return copies;
}

void BlockDesk::AskForCopy(MonotonicTime now, const proto::BlockInfo& block, const Copies& copies,
                           std::map<std::string, UnderWay>& under_way,
                           std::vector<DriverCommand>& out) {
  const BlockId key = BlockIdOf(block.name());
  const auto asked = replicating_.find(key);
  if (asked != replicating_.end() && now - asked->second.at < kReplicateAgainUs) return;
  UnderWay& of_source = under_way[copies.source];
  if (!of_source.Takes(block.bytes(), key.stream == kDeltaStream)) return;
  of_source.Add(block.bytes());
  replicating_[key] = {now, copies.source, block.bytes()};
  Send send{members_->AddressOf(copies.source), {}};
  auto& replicate = *send.message.mutable_replicate_block();
  *replicate.mutable_name() = block.name();
  replicate.set_target_worker(copies.target);
  replicate.set_target_address(members_->AddressOf(copies.target));
  replicate.set_target_incarnation(members_->IncarnationOf(copies.target));
  replicate.set_epoch(epoch_);
  out.push_back(std::move(send));
}

// By a worker each, in turn; again by the next one: where one cannot read the store, others may.
void BlockDesk::Restore(MonotonicTime now, Lacking lacking, std::vector<DriverCommand>& out) {
  const auto open = [&](const Restoring& restoring) {
    return restoring.asked.has_value() && now - *restoring.asked < kReplicateAgainUs;
  };
  size_t under_way = std::count_if(restoring_.begin(), restoring_.end(),
                                   [&](const auto& entry) { return open(entry.second); });
  std::sort(lacking.begin(), lacking.end());
  for (const auto& [batch_ms, key] : lacking) {
    if (under_way >= kRestoresMax) return;
    if (GoneFromStore(key)) continue;
    Restoring& restoring = restoring_[key];
    const std::string worker = open(restoring) ? "" : RestorerOf(restoring);
    if (worker.empty()) continue;
    ++under_way;
    restoring.asked = now;
    restoring.worker = last_restorer_ = worker;
    Send send{members_->AddressOf(worker), {}};
    auto& restore = *send.message.mutable_restore_block();
    *restore.mutable_block() = state_->FindBlock(key)->info;
    restore.set_store(options_.received_log);
    restore.set_epoch(epoch_);
    out.push_back(std::move(send));
  }
}

std::string BlockDesk::RestorerOf(const Restoring& restoring) const {
  const std::string& last = restoring.worker.empty() ? last_restorer_ : restoring.worker;
  std::string first;
  for (const auto& [id, worker] : members_->workers()) {
    if (!members_->WorkerServes(id) || restoring.gone_at.contains(id)) continue;
    if (id > last) return id;
    if (first.empty()) first = id;
  }
  return first;
}

bool BlockDesk::GoneFromStore(const BlockId& key) const {
  const auto restoring = restoring_.find(key);
  if (restoring == restoring_.end() || restoring->second.gone_at.empty()) return false;
  return restoring->second.gone_at.size() >= kWordsThatItIsGone ||
         RestorerOf(restoring->second).empty();
}

bool BlockDesk::IsLost(MonotonicTime now, const BlockId& key) const {
  const auto it = state_->blocks().find(key);
  if (it == state_->blocks().end()) return false;
  return NoWorkerHas(now, key) &&
         (!it->second.info.in_store() || GoneFromStore(key));
}

bool BlockDesk::NoWorkerHas(MonotonicTime now, const BlockId& key) const {
  const auto it = state_->blocks().find(key);
  if (it == state_->blocks().end() || !HoldersOf(key).empty()) return false;
  return std::all_of(it->second.holders.begin(), it->second.holders.end(),
                     [&](const std::string& id) {
                       const auto worker = members_->workers().find(id);
                       if (worker == members_->workers().end()) return members_->InventoriesIn();
                       if (!worker->second.lost) return worker->second.answered;
                       return worker->second.gone ||
                              now - worker->second.of_use > 2 * options_.lease_us;
                     });
}

std::vector<BlockId> BlockDesk::LostBlocks(MonotonicTime now) const {
  std::vector<BlockId> lost;
  for (const auto& [key, block] : state_->blocks()) {
    if (Needed(block) && !block.lost && IsLost(now, key)) lost.push_back(key);
  }
  return lost;
}

bool BlockDesk::Needed(const LoggedBlock& block) const {
  const auto batch = state_->planned().find(block.batch_ms);
  const bool skipped = batch != state_->planned().end() && batch->second.empty();
  return block.batch_ms == 0 || (block.batch_ms > state_->sealed_ms() && !skipped);
}

void BlockDesk::OnNotRestored(const proto::BlockNotRestored& failed,
                              std::vector<DriverCommand>& out) {
  const BlockId key = BlockIdOf(failed.name());
  if (state_->FindBlock(key) == nullptr || !HoldersOf(key).empty()) return;
  if (failed.gone()) {
    restoring_[key].gone_at.insert(failed.worker_id());
    restoring_[key].asked.reset();
  }
  out.push_back(Say{failed.gone() ? Say::Level::kError : Say::Level::kWarning,
                    absl::StrCat("worker ", failed.worker_id(), " cannot read ", ToString(key),
                                 " from the received-data log: ", failed.error())});
}

void BlockDesk::OnCopyGone(const proto::BlockCopied& gone, std::vector<DriverCommand>& out) {
  const bool current = members_->IncarnationOf(gone.worker_id()) == gone.incarnation();
  if (current && !gone.ok()) OnUnreadable(gone.worker_id(), BlockIdOf(gone.name()), out);
}

void BlockDesk::OnUnreadable(const std::string& worker_id, const BlockId& key,
                             std::vector<DriverCommand>& out) {
  const auto held = held_.find(worker_id);
  if (held == held_.end() || held->second.erase(key) == 0) return;
  check_copies_ = true;
  out.push_back(Say{Say::Level::kWarning, absl::StrCat("worker ", worker_id, " cannot read its "
                                                       "copy of ", ToString(key))});
}

}  // namespace sluice
