// The driver log for one thread that may block: LogCore connected to a store.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/log_core.h"
#include "checkpoint/log_store.h"

namespace sluice {

// For one thread. The store must outlive it.
//
// Errors that end it (the process exits with ExitCodeOf): fenced, damaged, start again, held (by
// the store's opener). Any other error of Append leaves the append under way with an unknown
// outcome: call Retry until it gives a position or an error that ends the log.
class DriverLog {
 public:
  // Microseconds of a clock that counts while the machine sleeps.
  using Now = std::function<int64_t()>;

  // Takes the log over: reads it to its end and opens an epoch. options.where is filled in.
  static absl::StatusOr<std::unique_ptr<DriverLog>> Open(LogStore* store, Now now,
                                                         LogOpenOptions options);

  // The live entries that were in the log before this epoch, in order; empty the second time.
  std::vector<ReplayedEntry> TakeReplayed() { return std::move(replayed_); }

  // All entries in one record, durable when it returns.
  absl::StatusOr<LogPosition> Append(std::vector<std::string> entries);
  // Goes on with an append that failed in a way that may pass.
  absl::StatusOr<LogPosition> Retry();

  // Deletes the slots below `slot`, which must not be above the last one.
  absl::Status DeleteBelow(uint64_t slot);
  // The half of it that asks no store: whoever called it may have the store delete them, from any
  // thread.
  absl::Status ForgetBelow(uint64_t slot) { return core_.CollectBelow(slot); }

  // Whether the log holds exactly this record. A manifest that disagrees is not to be used.
  bool Agrees(const LogPosition& position) const {
    return core_.ChecksumAt(position.slot) == position.checksum;
  }
  // Damaged when a witness from outside is longer than the log.
  absl::Status CheckWitness(uint64_t slot, const std::string& witness) const {
    return core_.CheckWitness(slot, witness);
  }

  // It gives nothing but errors any more.
  bool ended() const { return !end_.ok(); }

  uint64_t epoch() const { return core_.epoch(); }
  const LogPosition& last() const { return core_.last(); }

 private:
  DriverLog(LogStore* store, Now now, const LogOpenOptions& options)
      : store_(store), now_(std::move(now)), core_(options) {}

  // Steps, carries out store commands and steps again until there is nothing left to do.
  absl::Status Drive(const LogEvent& event);
  LogEvent CarryOut(const LogRead& command);
  LogEvent CarryOut(const LogPut& command);
  LogEvent CarryOut(const LogGet& command);
  LogEvent CarryOut(const LogCut& command);

  LogStore* store_;
  Now now_;
  LogCore core_;
  std::vector<ReplayedEntry> replayed_;
  LogPosition appended_;
  absl::Status end_;  // why the log stopped
};

}  // namespace sluice
