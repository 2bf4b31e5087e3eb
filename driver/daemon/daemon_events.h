// What the driver daemon's core is told, and what it asks its shell to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "common/clock.h"
#include "common/net/send.h"
#include "proto/client.pb.h"
#include "proto/job_table.pb.h"

namespace sluice::daemon {

// A key of a submission that is the daemon's own and is not handed to the job: the most slots that
// the job may hold. Without it a job takes all that are free.
inline constexpr char kMaxSlotsKey[] = "max_slots";

// ---- events ----------------------------------------------------------------------------------

struct Tick {};
struct Received {
  std::string from;
  proto::Envelope message;
};
struct PeerDown {
  std::string address;
  bool refused = false;
};

// Client calls carry a number under which Answer replies. The binary of a submission is already in
// the store; `run` is random.
struct SubmitJob {
  uint64_t request = 0;
  proto::JobSpec spec;
  std::string run;
  int64_t wall_ms = 0;
};
struct StopJob {
  uint64_t request = 0;
  std::string job;
  bool drain = false;
  uint64_t deadline_ms = 0;
};
struct AcceptJobLoss {
  uint64_t request = 0;
  std::string job;
};
struct ReplayWish {
  uint64_t request = 0;
  std::string job;
  proto::ReplayLetters letters;
};
struct DrainWorkerWish {
  uint64_t request = 0;
  std::string worker;
  uint64_t deadline_ms = 0;
};
// The daemon itself was told to end and to drain all jobs first.
struct DrainAll {
  uint64_t deadline_ms = 0;
};

struct DriverStarted {
  std::string job;
  int64_t pid = 0;
  uint64_t start_time = 0;  // of the process, as the kernel tells it
  std::string folder = {};  // of its run
};
struct DriverNotStarted {
  std::string job;
  std::string error;
};
struct DriverExited {
  std::string job;
  int64_t pid = 0;
  std::optional<int> exit_code;  // unknown when it was not our child and left no word
  int signal = 0;
  std::string last_line;         // of its standard error
};
// The process that EndFormer named is no more.
struct FormerEnded {
  std::string job;
};
// What the last Persist had is durable.
struct Saved {};
// The last Persist failed. Told next behind the event whose step had it.
struct NotSaved {};

using Event = std::variant<Tick, Received, PeerDown, SubmitJob, StopJob, AcceptJobLoss, ReplayWish,
                           DrainWorkerWish, DrainAll, DriverStarted, DriverNotStarted,
                           DriverExited, FormerEnded, Saved, NotSaved>;

// ---- commands, to be carried out in their order ------------------------------------------------

// Durable before the next command is carried out.
struct Persist {
  proto::JobTable table;
};
struct StartDriver {
  proto::JobSpec spec;
  std::string run;
  // `fresh` and `discard_checkpoint` are for the first launch only; any other needs a log.
  bool first = false;
  std::string folder = {};  // of the run so far, on this host; empty: a new one
};
// Tell (DriverExited) when this process, not our child, has ended. `start_time` 0: not known.
struct WatchDriver {
  std::string job;
  std::string run;
  std::string folder;  // of that run; empty: the daemon's own of that name
  int64_t pid = 0;
  uint64_t start_time = 0;
};
// End this process if it is still the one that started then; tell (FormerEnded) when it is gone.
struct EndFormer {
  std::string job;
  int64_t pid = 0;
  uint64_t start_time = 0;
};
// End the present job driver by force; DriverExited follows.
struct KillDriver {
  std::string job;
  int64_t pid = 0;
  uint64_t start_time = 0;
};
// The process at `address` is of this job, though it has not called this daemon.
struct Introduce {
  std::string address;
  std::string job;
};
struct Answer {
  uint64_t request = 0;
  proto::Outcome outcome;
};
// The job is not in the table any more: nobody comes back for the folders of its runs.
struct ForgetRuns {
  std::string job;
};
struct Say {  // one line of the daemon's log
  std::string line;
};

using Command =
    std::variant<Introduce, Send, Persist, StartDriver, WatchDriver, EndFormer, KillDriver, Answer,
                 ForgetRuns, Say>;

}  // namespace sluice::daemon
