// Letters in the simulator: what must hold of them at the end of a run.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/plan/interpreter.h"
#include "common/plan/stages.h"
#include "proto/log.pb.h"
#include "tests/sim/site.h"

namespace sluice::sim {

// What was decided to come and go behind the shuffles of a batch.
ReferenceInterpreter::Aside AsideOf(const proto::Composition& composition,
                                    const proto::Decided& decided, const StagePlan& plan);

// Takes what was decided to be left out of a task away from its input.
void LeaveOut(const proto::Decided& decided, uint32_t stage, uint32_t task,
              std::vector<std::string>& encoded);

// Reads the log in its order. Every letter of a decided batch is in the store once; a letter that
// was run again is input of exactly one batch, where it belongs, and of a record that is as bad as
// before there is a letter anew.
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
  // Letters of what came over a shuffle: those that were run again, and the batches that have them.
  std::map<std::pair<int64_t, uint32_t>, proto::Letter> behind_;
  std::map<std::pair<int64_t, uint32_t>, std::set<int64_t>> planned_behind_;
  bool behind_fails_ = false;  // user code behind a shuffle is what fails
  int64_t last_decided_ms_ = 0;
};

}  // namespace sluice::sim
