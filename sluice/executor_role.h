// A process of a job binary in executor role: runs tasks, or receivers.
#pragma once

#include "common/exit_code.h"
#include "common/role_flags.h"
#include "driver/api/streaming_context.h"

namespace sluice {

// Runs until the daemon ends it.
ExitStatus RunExecutorRole(const ExecutorRoleFlags& role, const std::vector<std::string>& words,
                           JobOptions options, BuildFunction build);

}  // namespace sluice
