// The data directory of a worker daemon: one daemon at a time, one identity for ever.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "worker/shm/mapping.h"

namespace sluice {

struct DataDir {
  UniqueFd lock;           // held as long as this lives
  std::string worker_id;   // made at the first start
};

// Makes the directory if need be. FailedPrecondition: another daemon uses it.
absl::StatusOr<DataDir> OpenDataDir(const std::string& path);

uint64_t RandomId();       // never 0
uint64_t MemoryBytes();    // of the machine, or of the control group's limit when that is less

}  // namespace sluice
