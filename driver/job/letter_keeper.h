// Publishes the letters of decided batches: an object of the checkpoint store for each batch that
// has some. Its name and bytes follow from the decision, so that it can be put again after a crash.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "driver/job/commands.h"
#include "driver/job/job_state.h"
#include "driver/job/log_queue.h"

namespace sluice {

// One put under way at a time, in the order of the batches. Not thread-safe.
class LetterKeeper {
 public:
  LetterKeeper(const JobState* state, LogQueue* log) : state_(state), log_(log) {}

  void Advance(MonotonicTime now, std::vector<DriverCommand>& out);
  void OnKept(MonotonicTime now, const KeptAside& kept, std::vector<DriverCommand>& out);
  // No decided batch has letters that are not in the store.
  bool idle() const;

 private:
  std::string NameOf(int64_t batch_ms) const;
  std::string Bytes(const proto::Decided& decided) const;

  const JobState* state_;
  LogQueue* log_;
  int64_t putting_ms_ = 0;   // 0: none
  int64_t all_kept_ms_ = 0;  // of batches up to here nothing is left to keep
  MonotonicTime not_before_ = 0;
  MonotonicTime backoff_ = 0;
};

// Numbers them within the batch, in the order of stage, task and record.
void NumberLetters(proto::Decided& decided);

}  // namespace sluice
