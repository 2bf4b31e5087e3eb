// What `sluice driver` and `sluice worker` share: signals, port files, the ready line.
#pragma once

#include <chrono>
#include <string>

#include "absl/status/status.h"

namespace sluice::cli {

// Keeps SIGTERM and SIGINT for AwaitStop. Before any thread starts: these inherit it.
void HoldStopSignals();
// True: one of them came; false: `milliseconds` passed (-1: for ever).
bool AwaitStop(int64_t milliseconds);

// One line HOST:PORT, written aside and renamed. An empty path does nothing.
absl::Status WritePortFile(const std::string& path, const std::string& address);

// glog to standard error, one line per event.
void LogToStandardError(const char* program);

}  // namespace sluice::cli
