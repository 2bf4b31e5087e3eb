// What a process of Sluice ends with. Scripts rely on these numbers.
#pragma once

#include <string>

namespace sluice {

inline constexpr int kExitOk = 0;           // done, drained, cancelled at the user's request
inline constexpr int kExitFailed = 1;       // the job failed; nothing of that name
inline constexpr int kExitUsage = 2;        // what was typed is wrong, found without asking anybody
inline constexpr int kExitRefused = 3;      // well-formed but refused
inline constexpr int kExitUnreachable = 4;  // the driver did not answer within --connect-timeout
inline constexpr int kExitDeadline = 5;     // a deadline passed, work was forced to stop
inline constexpr int kExitDenied = 6;       // not authenticated or not allowed
inline constexpr int kExitFenced = 7;       // this process does not own the checkpoint
inline constexpr int kExitDamaged = 8;      // checkpoint or log damaged or missing
// Between a job driver and its daemon only: it is to be started again. People see kExitFailed.
inline constexpr int kExitStartAgain = 75;

// How a command ends, with the one line that says why (empty when there is nothing to say).
struct ExitStatus {
  int code = kExitOk;
  std::string message;
  bool ok() const { return code == kExitOk; }
};

}  // namespace sluice
