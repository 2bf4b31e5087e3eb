// Takes checkpoints: marks a batch, gathers the executors' parts, has the manifest put once the
// batch's decision is durable, and logs that it is sealed. A checkpoint that cannot be finished
// is abandoned; executors keep the changes until one that has them is sealed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "driver/job/commands.h"
#include "driver/job/job_options.h"
#include "driver/job/log_queue.h"
#include "driver/job/membership.h"

namespace sluice {

// State parts of each (operator, partition), oldest first: a whole one, then increments.
using PartChains = std::map<std::pair<std::string, uint32_t>, std::vector<std::string>>;

// Not thread-safe.
class Checkpointer {
 public:
  Checkpointer(const JobDriverOptions& options, JobState* state, LogQueue* log)
      : options_(options), state_(state), log_(log) {}

  // The chains of the checkpoint that the job starts from, and of which branch their state is.
  // `former_partitions`: of the operators that have another number now; the next checkpoint has
  // all of their state.
  void Restore(PartChains chains, int64_t batch_ms, uint64_t branch,
               std::map<std::string, uint32_t> former_partitions) {
    sealed_chains_ = std::move(chains);
    sealed_ms_ = batch_ms;
    sealed_branch_ = branch;
    former_partitions_ = std::move(former_partitions);
  }
  // Whether the batch now planned is to be checkpointed.
  bool WantsNext(MonotonicTime now) const;
  // `branch`: of the state that the executors have. `executors`: each with its worker.
  void Begin(MonotonicTime now, int64_t batch_ms, uint64_t branch,
             std::map<uint32_t, std::string> executors);
  void OnPart(const proto::CheckpointPart& part, std::vector<DriverCommand>& out);
  void OnManifestPut(const ManifestPut& put, std::vector<DriverCommand>& out);
  void Abandon(MonotonicTime now);
  // Puts the manifest when all is there. One whose parts are not all written in time is abandoned;
  // the next one is given twice the time.
  void Advance(MonotonicTime now, std::vector<DriverCommand>& out);
  void ForceNext() { forced_ = true; }

  const PartChains& chains() const { return sealed_chains_; }
  bool spreads() const { return !former_partitions_.empty(); }
  // Of the operator in these chains; 0: as it has now.
  uint32_t FormerPartitions(const std::string& operator_name) const {
    const auto former = former_partitions_.find(operator_name);
    return former == former_partitions_.end() ? 0 : former->second;
  }
  int64_t chains_ms() const { return sealed_ms_; }
  uint64_t chains_branch() const { return sealed_branch_; }
  int64_t abandoned_ms() const { return abandoned_ms_; }
  int64_t in_progress_ms() const { return batch_ms_; }
  // For the status, with the worker: why one checkpoint after the other is given up, or one took
  // too long. Empty: none did since the last one that was sealed.
  const std::string& problem() const { return problem_; }

 private:
  void GiveUp(MonotonicTime now, const std::string& why, std::vector<DriverCommand>& out);
  void GiveUpLate(MonotonicTime now, std::vector<DriverCommand>& out);
  void SayLate(MonotonicTime now, std::vector<DriverCommand>& out);

  const JobDriverOptions& options_;
  JobState* state_;
  LogQueue* log_;
  PartChains sealed_chains_;
  PartChains next_chains_;
  std::map<std::string, uint32_t> former_partitions_;
  int64_t sealed_ms_ = 0;
  uint64_t sealed_branch_ = 0;
  int64_t batch_ms_ = 0;            // in progress; 0: none
  uint64_t branch_ = 0;
  int64_t abandoned_ms_ = 0;
  std::map<uint32_t, std::string> waiting_for_;
  bool putting_ = false;
  MonotonicTime put_at_ = 0;
  bool put_late_ = false;           // that it takes too long was said
  bool forced_ = false;
  MonotonicTime last_ = 0;
  bool ever_ = false;
  MonotonicTime decided_at_ = 0;    // the batch in progress, durably; 0: not yet
  int64_t patience_us_ = 0;         // from then on; 0: as the first time
  bool given_up_ = false;           // the one before was
  std::string problem_;
};

}  // namespace sluice
