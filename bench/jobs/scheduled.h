// Records that carry the moment at which they were due, and what is noted when they come out: how
// late, by a schedule that nothing holds up. A sender that is late does not move it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "sluice/sluice.h"

namespace sluice::bench {

struct ScheduleOptions {
  uint64_t rate = 1'000;  // records per second, evenly
  std::string folder;     // `ready` is made there, and `go` awaited, which has the start in wall us
};

// Record n is due at the start and n / rate seconds; its value is that moment, in wall us. Each is
// stored by itself as soon as it is due, or as the receiver gets to it.
class Scheduled : public Receiver<int64_t> {
 public:
  explicit Scheduled(ScheduleOptions options) : options_(std::move(options)) {}
  void Run(Receiving<int64_t>& receiving) override;

 private:
  const ScheduleOptions options_;
};

// How late the records of one batch came out, by the second in which they were due. Delays are
// rounded up by less than 1 %.
class Delays {
 public:
  explicit Delays(int64_t now_us) : now_us_(now_us) {}
  void Add(int64_t due_us, int64_t records);
  // Appends a line for each second to `folder`/delays: "BATCH_MS SECOND US:RECORDS ...".
  void Note(const std::string& folder, int64_t batch_ms) const;

 private:
  const int64_t now_us_;
  std::map<int64_t, std::map<int64_t, int64_t>> by_second_;  // delay in us: records
};

}  // namespace sluice::bench
