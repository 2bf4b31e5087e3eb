// What executors say of each other: who cannot reach whom, and who therefore is to leave.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

namespace sluice {

// Pure, for one generation. Times are in microseconds. Reports are repeated while a link is down;
// one that is not repeated for two leases is void.
class Suspicions {
 public:
  explicit Suspicions(int64_t lease_us) : lease_us_(lease_us) {}

  void Report(int64_t now, uint32_t from, uint32_t against);
  // The executor that is to leave a generation of so many members, if one is: whom two others
  // cannot reach, or one of two members; and for the link of a pair alone, which otherwise would
  // stop the job for as long as it is cut, the younger of the two once that lasts half a lease.
  std::optional<uint32_t> Verdict(int64_t now, size_t members);
  void Clear() { reports_.clear(); }

 private:
  struct Times {
    int64_t first = 0;
    int64_t last = 0;
  };
  const int64_t lease_us_;
  std::map<std::pair<uint32_t, uint32_t>, Times> reports_;  // (against, from)
};

}  // namespace sluice
