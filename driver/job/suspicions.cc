#include "driver/job/suspicions.h"

#include <algorithm>

namespace sluice {

void Suspicions::Report(int64_t now, uint32_t from, uint32_t against) {
  auto [report, fresh] = reports_.try_emplace({against, from}, Times{now, now});
  report->second.last = now;
}

std::optional<uint32_t> Suspicions::Verdict(int64_t now, size_t members) {
  std::erase_if(reports_,
                [&](const auto& report) { return now - report.second.last > 2 * lease_us_; });
  std::map<uint32_t, int> reporters;
  for (const auto& [link, times] : reports_) {
    if (++reporters[link.first] == 2 || members <= 2) return link.first;
  }
  for (const auto& [link, times] : reports_) {
    if (now - times.first < lease_us_ / 2) continue;
    // Its replacement is younger still: of a pair that stays cut it is always the same worker's.
    const bool mutual = reports_.contains({link.second, link.first});
    return mutual ? std::max(link.first, link.second) : link.first;
  }
  return std::nullopt;
}

}  // namespace sluice
