// The folders in which processes keep decided state on disk, a database in each:
// PARENT/state-PID-N. They are of no use to anybody else, and go with their process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace sluice {

// The `number`-th of a process.
std::string StateFolder(const std::string& parent, int64_t pid, uint64_t number);

// Removes the folders of those processes that `of` is true of, and nothing else in `parent`, which
// need not be there. What cannot be removed stays.
void RemoveStateFolders(const std::string& parent, const std::function<bool(int64_t pid)>& of);

}  // namespace sluice
