// Which of several driver daemons leads (docs/standby.md). Decides; never acts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"

namespace sluice::daemon::lease {

// ---- events ----------------------------------------------------------------------------------

// Time has passed.
struct Turn {};
// The newest slot of the log. 0: the log is empty. `begun`: when the look at it was; what came
// since is not in it.
struct Seen {
  MonotonicTime begun = 0;
  uint64_t slot = 0;
  uint64_t epoch = 0;
  bool entry = false;       // else a record that opens an epoch: address and node are not known
  std::string address;
  std::string node;
  bool resigned = false;
};
struct LookFailed {};
// Answers OpenEpoch. `begun`: when the opening was begun.
struct Opened {
  MonotonicTime begun = 0;
  uint64_t epoch = 0;
};
struct OpenFailed {};
// An append of ours is in the log, whoever asked for it. `begun`: when it was.
struct Appended {
  MonotonicTime begun = 0;
};
// It may be or not: the store did not answer.
struct AppendStalled {};
// Another epoch is in the log.
struct Fenced {};
// Our last entry said that we end: nothing more.
struct Resigned {};
using Event = std::variant<Turn, Seen, LookFailed, Opened, OpenFailed, Appended, AppendStalled,
                           Fenced, Resigned>;

// ---- commands: one at a time is unanswered -----------------------------------------------------

struct Look {};   // answered by Seen or LookFailed
// Answered by Opened or, also when anything but this slot turned out to be before the new epoch, by
// OpenFailed.
struct OpenEpoch {
  uint64_t behind = 0;
};
struct Renew {};  // answered by Appended, AppendStalled or Fenced
struct Lead {
  uint64_t epoch = 0;
};
struct Follow {
  std::string why;
};
using Command = std::variant<Look, OpenEpoch, Renew, Lead, Follow>;

struct Options {
  std::string address;  // of this daemon
  std::string node;     // and of its data folder
  MonotonicTime lease_us = 5'000'000;
};

// Not thread-safe. Times are of one clock that counts while the machine sleeps; nothing is compared
// with another machine's.
//
// Invariants:
// 1. Sure() ends one lease after the beginning of the last append that is known to be in the log.
// 2. An epoch is opened only behind a slot that was seen unchanged for patience(), which is longer,
//    from the end of one look to the beginning of another; or behind one whose writer is known to
//    have ended, or in an empty log.
class Core {
 public:
  explicit Core(Options options) : options_(std::move(options)) {}

  std::vector<Command> Step(MonotonicTime now, const Event& event);

  bool leads() const { return role_ == Role::kLeader; }
  // Whether no other can have taken over by now, as far as clocks run at about the same speed. What
  // keeps the table whole is the log, not this.
  bool Sure(MonotonicTime now) const { return leads() && now < sure_until_; }
  MonotonicTime sure_until() const { return sure_until_; }
  uint64_t epoch() const { return epoch_; }             // the highest that was seen
  const std::string& leader() const { return leader_; }  // its address, as far as it is known
  MonotonicTime patience() const { return options_.lease_us + renew_us(); }
  MonotonicTime renew_us() const { return options_.lease_us / 4; }

 private:
  enum class Role { kStandby, kTakingOver, kLeader, kEnded };

  void On(const Turn&);
  void On(const Seen& seen);
  void On(const LookFailed&);
  void On(const Opened& opened);
  void On(const OpenFailed&);
  void On(const Appended& appended);
  void On(const AppendStalled&);
  void On(const Fenced&);
  void On(const Resigned&);
  void StandBy(const std::string& why);

  const Options options_;
  Role role_ = Role::kStandby;
  bool asked_ = false;                // a command is unanswered
  MonotonicTime now_ = 0;
  MonotonicTime next_ = 0;            // look or renewal
  std::optional<uint64_t> slot_;      // the newest one seen,
  MonotonicTime slot_since_ = 0;      // and since when
  MonotonicTime sure_until_ = 0;
  uint64_t epoch_ = 0;
  std::string leader_;
  std::vector<Command> out_;
};

}  // namespace sluice::daemon::lease
