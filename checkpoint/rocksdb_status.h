// RocksDB's errors as ours. For the rocksdb_*.cc files only.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "checkpoint/errors.h"
#include "rocksdb/status.h"

namespace sluice::internal {

// `where` names the database or file. What is missing or does not check is damaged.
inline absl::Status FromRocksDb(const rocksdb::Status& status, const std::string& where) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = where + ": " + status.ToString();
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(message);
  if (status.IsCorruption() || status.IsPathNotFound() || status.IsInvalidArgument()) {
    return DamagedError("damaged: " + message);
  }
  return absl::UnavailableError(message);
}

}  // namespace sluice::internal
