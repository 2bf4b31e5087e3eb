// Letters in the simulator: what must hold of them at the end of a run.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "proto/log.pb.h"
#include "tests/sim/site.h"

namespace sluice::sim {

// Takes what was decided to be left out of a task away from its input.
void LeaveOut(const proto::Decided& decided, uint32_t stage, uint32_t task,
              std::vector<std::string>& encoded);

// Reads the log in its order. Every letter of a decided batch is in the store once; a letter that
// was run again is input of exactly one batch, and since it is as bad as before, a letter anew.
class LetterChecks {
 public:
  void Note(const proto::Entry& entry);
  void Check(Site& site) const;

 private:
  std::map<int64_t, proto::Decided> decided_;  // those with letters
  std::map<std::pair<int64_t, uint32_t>, int> replayed_;
  uint64_t job_instance_ = 0;
  uint64_t letters_ = 0;
  uint64_t replayed_records_ = 0;  // logged
  uint64_t planned_records_ = 0;   // in compositions
  int64_t last_decided_ms_ = 0;
};

}  // namespace sluice::sim
