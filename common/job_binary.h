// Whether a file is a job binary that this node can run: asked before it is started for the first
// time, so that what is missing is said by name instead of by a crash.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/spawn.h"

namespace sluice {

// FailedPrecondition with the reason when the file cannot be a program of this machine: judged by
// its ELF header alone.
absl::Status CheckExecutable(const std::string& path);

// CheckExecutable, and then the program itself, run once with kDescribeFlag: it loads, answers as a
// job binary and speaks our protocol. FailedPrecondition says what is wrong with the binary, of
// shared libraries that they are missing on `node` ("the driver's node"). Any other error says
// nothing of it: it could not be asked, or did not answer in ten seconds.
absl::Status CheckJobBinary(Spawner* spawner, const std::string& path, const std::string& node);

}  // namespace sluice
