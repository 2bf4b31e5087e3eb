// Where driver daemons that may stand by for each other keep their table: what --store names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/log_store.h"

namespace sluice::daemon {

// Usage error (exit 2) or refused (exit 3) for a URL that names no such store. Asks nobody.
absl::Status CheckTableUrl(const std::string& url);

// `rocksdb:/dir`, `s3://bucket/prefix` or `etcd://host:port[,host:port]/prefix`. A request of the
// store is given up after about `patience_us`, or a second. Refused (exit 3): another daemon has a
// rocksdb: store open, so that this one cannot stand by; an S3 endpoint that ignores conditions.
// Damaged: 8.
absl::StatusOr<std::unique_ptr<LogStore>> OpenTableStore(const std::string& url,
                                                         int64_t patience_us);

}  // namespace sluice::daemon
