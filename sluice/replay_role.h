// A job binary that runs one batch of its job again from a case: PROGRAM --sluice-case=DIR.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/exit_status.h"
#include "driver/api/streaming_context.h"

namespace sluice {

// Takes the flag out of the words in front of `--` and gives its folder; nothing: it is not there.
std::optional<std::string> TakeCaseFlag(std::vector<std::string>* words);

// Runs the case (docs/batch_replay.md) and says on standard output what came of it. `words`: flags
// of the program in place of those that the case has; none: those.
// 1: another state, other rows, or a task that failed; 2, 3, 8 as everywhere.
ExitStatus RunReplayRole(const std::string& folder, const std::vector<std::string>& words,
                         JobOptions options, BuildFunction build);

}  // namespace sluice
