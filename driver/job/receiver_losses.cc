#include "driver/job/receiver_losses.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// Replicas that were never announced come with the inventories that follow a loss.
constexpr int64_t kPatienceLeases = 2;

}  // namespace

void ReceiverLosses::OnBeat(const proto::LeaseBeat& beat) {
  for (const proto::ReceiverTaken& told : beat.taken()) {
    if (told.records() == 0) continue;
    Taken& taken = taken_[{told.stream(), told.incarnation()}];
    taken.records = std::max(taken.records, told.records());
    taken.worker = beat.worker_id();
  }
}

void ReceiverLosses::OnDead(MonotonicTime now, uint32_t stream, uint64_t incarnation) {
  const auto it = taken_.find({stream, incarnation});
  if (it != taken_.end()) it->second.dead = now;
}

void ReceiverLosses::Advance(MonotonicTime now, const LineageGraph& graph, bool at_once,
                             std::vector<DriverCommand>& out) {
  for (auto it = taken_.begin(); it != taken_.end();) {
    const auto& [stream, incarnation] = it->first;
    Taken& taken = it->second;
    if (members_->ReceiverAlive(stream, incarnation)) taken.dead = 0;  // it was only away
    if (taken.dead == 0) {
      ++it;
      continue;
    }
    const uint64_t logged = state_->RecordsLogged(stream, incarnation);
    const bool over = at_once || (now - taken.dead > kPatienceLeases * options_.lease_us &&
                                  members_->InventoriesIn());
    if (taken.records > logged && !over) {
      ++it;
      continue;
    }
    if (taken.records > logged) {
      proto::Entry entry;
      entry.mutable_receiver_retired()->set_stream(stream);
      entry.mutable_receiver_retired()->set_incarnation(incarnation);
      entry.mutable_receiver_retired()->set_taken(taken.records);
      log_->Enqueue(std::move(entry));
      const std::string& name = graph.node(stream).source.stream;
      out.push_back(Say{Say::Level::kWarning,
                        absl::StrCat(taken.records - logged, " records of stream ",
                                     name.empty() ? graph.node(stream).label : name,
                                     " are lost: worker ", taken.worker, " had taken them from a "
                                     "source that cannot send again, and ended before they were "
                                     "replicated and logged")});
    }
    it = taken_.erase(it);
  }
}

uint64_t ReceiverLosses::TakenBy(uint32_t stream, uint64_t incarnation) const {
  const auto it = taken_.find({stream, incarnation});
  return it == taken_.end() ? 0 : it->second.records;
}

}  // namespace sluice
