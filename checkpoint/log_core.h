// The rules of the driver log (design: one log, fenced) as a function of events: take-over,
// append, fencing, and what is damage. No I/O and no clock inside.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/log_chain.h"

namespace sluice {

struct LogOpenOptions {
  uint64_t nonce = 0;        // random, one per take-over
  uint64_t first_slot = 1;   // first live slot, by the latest manifest
  uint64_t durable_slot = 0;  // a witness from outside the store: the manifest's decided slot
  bool known_job = false;    // this job had a log: an empty one is damage
  // A driver that has not appended for so long looks first whether others have, because by then
  // slots may have been collected, and a free slot would no longer mean that it is the next.
  int64_t stale_after_us = 300'000'000;
  std::string where = "driver log";
};

struct ReplayedEntry {
  LogPosition position;  // of its record
  uint64_t epoch = 0;
  std::string payload;
};

// ---- events ----
struct LogStart {};
struct LogReadDone {
  std::vector<std::pair<uint64_t, std::string>> slots;
  std::optional<uint64_t> witness;
  absl::Status status;
};
struct LogPutDone { uint64_t slot = 0; absl::Status status; };
struct LogGetDone { uint64_t slot = 0; absl::StatusOr<std::string> bytes; };
struct LogCutDone { uint64_t slot = 0; absl::Status status; };
// All entries of one append become durable together. `id` comes back in LogAppended.
struct LogAppend { uint64_t id = 0; std::vector<std::string> entries; };
// After LogStalled: do again what failed.
struct LogRetry {};
using LogEvent = std::variant<LogStart, LogReadDone, LogPutDone, LogGetDone, LogCutDone, LogAppend,
                              LogRetry>;

// ---- commands ----
// The first four ask the store; one at a time is under way, and each is answered by its event.
struct LogRead { uint64_t from = 1; };
struct LogPut { uint64_t slot = 0; std::string bytes; };
struct LogGet { uint64_t slot = 0; };
struct LogCut { uint64_t slot = 0; std::string bytes; };
// The epoch is this driver's, and these are the live entries before it, in order.
struct LogOpened {
  uint64_t epoch = 0;
  LogPosition position;
  std::vector<ReplayedEntry> entries;
};
struct LogAppended { LogPosition position; std::vector<uint64_t> ids; };
// The store failed in a way that may pass. Nothing was lost; send LogRetry when it is time.
struct LogStalled { absl::Status status; };
// The end of this core: fenced, damaged, or to be started again (errors.h). Appends not yet
// answered may or may not be in the log.
struct LogStopped { absl::Status status; };
using LogCommand = std::variant<LogRead, LogPut, LogGet, LogCut, LogOpened, LogAppended,
                                LogStalled, LogStopped>;

// Not thread-safe; copyable. Begin with LogStart. LogAppend is taken at any time and waits its
// turn. `now_us` must not go back and must count while the machine sleeps.
//
// Invariants:
// 1. At most one store command is unanswered.
// 2. A record is put again only with the same bytes, until its slot is known to hold other bytes.
// 3. LogAppended is given only for records that are live in the log whatever others do.
class LogCore {
 public:
  explicit LogCore(const LogOpenOptions& options);

  std::vector<LogCommand> Step(int64_t now_us, const LogEvent& event);

  bool opened() const { return opened_; }
  bool stopped() const { return state_ == State::kStopped; }
  bool idle() const { return state_ == State::kReady && waiting_.empty(); }
  uint64_t epoch() const { return epoch_; }
  const LogPosition& last() const { return chain_.last(); }
  std::optional<uint32_t> ChecksumAt(uint64_t slot) const { return chain_.ChecksumAt(slot); }
  // Damaged when a witness (a grant that a daemon gives back) is longer than this log.
  absl::Status CheckWitness(uint64_t slot, const std::string& witness) const;
  // Collected: slots below are gone. The last record is never collected.
  absl::Status CollectBelow(uint64_t slot);

 private:
  enum class State {
    kNew,
    kReading,     // all of the log
    kCutting,     // a torn tail
    kReady,       // the epoch is ours, nothing under way
    kChecking,    // reading the tail before an append after a long pause
    kPutting,     // our record, `epoch opened` or entries
    kLooking,     // at what took our slot
    kConfirming,  // reading the tail after a put that took long
    kStopped,
  };

  void On(const LogStart&);
  void On(const LogReadDone& event);
  void On(const LogPutDone& event);
  void On(const LogGetDone& event);
  void On(const LogCutDone& event);
  void On(const LogAppend& event);
  void On(const LogRetry&);

  void Replay(const LogReadDone& event);
  absl::Status ReplaySlot(uint64_t slot, std::string_view bytes);
  absl::Status CheckLength(const std::optional<uint64_t>& witness) const;
  void BeginOpening();
  void MaybeAppend();
  void PutPending();
  void PutSucceeded();
  void Finished();
  // Looks at slots read from the last known one on. OK when none of them ends our epoch.
  absl::Status CheckTail(const LogReadDone& event);
  // Another driver's record in a slot of ours. OK when it is void.
  absl::Status Foreign(uint64_t slot, std::string_view bytes);

  // Handles a failed answer: true when there is nothing more to do for it.
  bool Failed(const absl::Status& status);
  void Ask(LogCommand command, State state);
  void Stop(absl::Status status);

  LogOpenOptions options_;
  LogChain chain_;
  State state_ = State::kNew;
  bool opened_ = false;
  uint64_t epoch_ = 0;
  std::vector<ReplayedEntry> replayed_;
  std::deque<LogAppend> waiting_;
  std::vector<uint64_t> pending_ids_;
  LogRecord pending_;            // the record under way; its slot is 0 when there is none
  std::string pending_bytes_;
  std::optional<LogCommand> asked_;  // the unanswered store command
  bool stalled_ = false;
  int64_t now_us_ = 0;
  int64_t asked_us_ = 0;  // when asked_ was
  int64_t sure_us_ = 0;   // when we last knew that the log ended with chain_.last()
  std::vector<LogCommand> commands_;
};

}  // namespace sluice
