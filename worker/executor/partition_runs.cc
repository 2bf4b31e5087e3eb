#include "worker/executor/partition_runs.h"

#include <algorithm>
#include <functional>
#include <iterator>

#include "common/delta_stream.h"

namespace sluice {

std::vector<uint32_t> RunsOf(const std::set<uint32_t>& partitions) {
  struct Gap {
    uint32_t before = 0;
    uint32_t behind = 0;
    uint32_t width() const { return behind - before; }
  };
  std::vector<Gap> gaps;
  for (auto it = partitions.begin(); it != partitions.end(); ++it) {
    const auto next = std::next(it);
    if (next != partitions.end() && *next != *it + 1) gaps.push_back({*it, *next});
  }
  std::ranges::stable_sort(gaps, std::greater(), &Gap::width);
  if (gaps.size() >= kPartitionRunsMax) gaps.resize(kPartitionRunsMax - 1);
  std::vector<uint32_t> runs;
  if (!partitions.empty()) runs = {*partitions.begin(), *partitions.rbegin()};
  for (const Gap& gap : gaps) runs.insert(runs.end(), {gap.before, gap.behind});
  std::sort(runs.begin(), runs.end());
  return runs;
}

bool MayHave(const proto::BlockInfo& block, const std::set<uint32_t>& partitions) {
  const auto& runs = block.partitions();
  for (int i = 0; i + 1 < runs.size(); i += 2) {
    const auto found = partitions.lower_bound(runs[i]);
    if (found != partitions.end() && *found <= runs[i + 1]) return true;
  }
  return runs.empty();
}

}  // namespace sluice
