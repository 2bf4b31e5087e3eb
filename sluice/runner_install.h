// Links the local runtime into every program that includes sluice/sluice.h.
#pragma once

namespace sluice::internal {

bool InstallLocalRunner();
inline const bool kLocalRunnerInstalled = InstallLocalRunner();

}  // namespace sluice::internal
