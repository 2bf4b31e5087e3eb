// Watches a running job from outside: reads along in its log and looks at its files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/plan/stages.h"
#include "tests/kills/job_log.h"
#include "tests/kills/step.h"

namespace sluice::kills {

struct ObserverPlaces {
  std::string checkpoint;  // directory of the job's checkpoint
  std::string scratch;
  std::string runs;  // the driver daemon's folder of the job: one folder per run, with its output
};

// Not thread-safe. Never writes where the job reads.
class Observer {
 public:
  // `graph` must outlive it.
  Observer(ObserverPlaces places, const LineageGraph& graph);

  // Looks at everything anew. An error is of the log itself: it breaks a rule or is damaged.
  absl::Status Look();
  // As of the last look.
  Step step() const { return StepOf(log_, sight_); }
  bool answered() const { return Answered(log_, sight_); }
  uint64_t members() const { return sight_.members; }
  const JobLog& log() const { return log_; }
  GenerationKey granted() const { return sight_.granted; }
  // From here on this generation counts as lost.
  void Lose(GenerationKey generation) { sight_.lost_in = generation; }

 private:
  void ReadAnnouncements();
  void LookForStaged();
  void LookForParts();

  const ObserverPlaces places_;
  const LineageGraph& graph_;
  RocksDbLogFollower follower_;
  JobLog log_;
  Sight sight_;
  uint64_t read_ = 0;      // of the job driver's output
  std::string line_;       // its last, unfinished line
};

}  // namespace sluice::kills
