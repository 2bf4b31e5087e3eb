// The errors of the checkpoint store that a process must tell apart, and the exit code that each
// asks for. The code travels in the status, so that whoever wraps the message keeps it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/exit_code.h"

namespace sluice {

// A newer driver has taken the log: this process must append nothing more.
absl::Status FencedError(const std::string& message);
// Another live process has the log open.
absl::Status HeldError(const std::string& message);
// What was stored and synced is not there as it was; the message names file and place.
absl::Status DamagedError(const std::string& message);
// A write or sync failed, and nobody can tell by asking again what the disk holds: a second sync
// says that all is well when the kernel has dropped what the first could not write. This process
// must not go on with the store; one that starts anew reads what is there.
absl::Status StartAgainError(const std::string& message);
// Well-formed but not in this release or not possible here.
absl::Status RefusedError(const std::string& message);
// What was typed is wrong.
absl::Status UsageError(const std::string& message);

bool IsFenced(const absl::Status& status);
bool IsHeld(const absl::Status& status);
bool IsDamaged(const absl::Status& status);
bool IsStartAgain(const absl::Status& status);

// The exit code the status asks for; 0 when it asks for none.
int ExitCodeOf(const absl::Status& status);

// The same error with `context: ` in front of its message.
absl::Status WithContext(const std::string& context, const absl::Status& status);

}  // namespace sluice
