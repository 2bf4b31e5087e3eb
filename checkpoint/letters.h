// The letters in a checkpoint store: records that made user code fail, set aside.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/object_store.h"
#include "proto/log.pb.h"

namespace sluice {

// Those of one job instance (0: of all), of one batch (0: of all), the oldest first. DataLoss names
// an object that cannot be read; other errors are those of the store.
absl::StatusOr<std::vector<proto::Letter>> ReadLetters(ObjectStore* objects, uint64_t job_instance,
                                                       int64_t batch_ms);

}  // namespace sluice
