// Received blocks that nobody has any more: who decides that the job goes on without them.
#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "driver/job/job_driver_core.h"

namespace sluice {
namespace {

constexpr MonotonicTime kLossCheckUs = 200'000;

}  // namespace

// A local job has its blocks in the memory of its process: those of a process that has ended no one
// can bring back. It waits only for a word on those that their source was told are safe. A worker
// that is silent, because its disk hangs say, may have them yet.
bool JobDriverCore::GoesOnWithout(const BlockId& key) const {
  const proto::BlockInfo& block = state_.blocks().at(key).info;
  const auto& workers = members_.workers();
  const auto says = [&](const auto& worker) { return members_.WorkerServes(worker.first); };
  const bool all_say = !workers.empty() && std::all_of(workers.begin(), workers.end(), says);
  return options_.local && all_say &&
         (options_.accept_loss || (!block.reliable() && !block.in_store()));
}

void JobDriverCore::WatchLosses(MonotonicTime now) {
  if (!begun_ || now - loss_checked_ <= kLossCheckUs) return;
  loss_checked_ = now;
  std::vector<BlockId> lost = blocks_.LostBlocks(now);
  const auto accepted = std::stable_partition(
      lost.begin(), lost.end(), [&](const BlockId& key) { return !GoesOnWithout(key); });
  AcceptLosses({accepted, lost.end()});
  lost.erase(accepted, lost.end());
  const std::string before = failure_;
  failure_ = lost.empty() ? ""
                          : absl::StrCat(lost.size(), " received blocks are lost, first ",
                                         ToString(lost.front()), "; ",
                                         options_.local ? "another start with accept_loss=on"
                                                        : "`sluice job accept-loss`",
                                         " goes on without them");
  if (failure_ != before && !failure_.empty()) out_.push_back(Say{Say::Level::kError, failure_});
}

void JobDriverCore::AcceptLosses(const std::vector<BlockId>& lost) {
  struct Loss {
    uint64_t blocks = 0;
    uint64_t records = 0;
  };
  std::map<uint32_t, Loss> by_stream;
  for (const BlockId& key : lost) {
    Loss& loss = by_stream[key.stream];
    ++loss.blocks;
    loss.records += state_.blocks().at(key).info.records();
    proto::Entry entry;
    *entry.mutable_lost()->mutable_name() = NameOf(state_.job().job_instance(), key);
    log_.Enqueue(std::move(entry));
    new_generation_wanted_ = true;  // whoever runs its batch by now would wait for it on
  }
  for (const auto& [stream, loss] : by_stream) {
    const bool known = stream < graph_.nodes().size();
    const std::string name = known ? graph_.node(stream).source.stream : std::to_string(stream);
    out_.push_back(Say{Say::Level::kWarning,
                       absl::StrCat("the job goes on without ", loss.blocks, " received blocks of "
                                    "stream ", name, ", which are lost: ", loss.records,
                                    " records")});
  }
}

}  // namespace sluice
