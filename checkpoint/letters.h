// The letters in a checkpoint store: records that made user code fail, set aside.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "checkpoint/object_store.h"
#include "proto/log.pb.h"

namespace sluice {

// Calls `take` with those of one job instance (0: of all), of one batch (0: of all), the oldest
// first, until it returns false. Reads the objects that have them one at a time, and no others.
// DataLoss, when all others were taken, names one that cannot be read; other errors are those of
// the store.
absl::Status ForLetters(ObjectStore* objects, uint64_t job_instance, int64_t batch_ms,
                        const std::function<bool(proto::Letter letter)>& take);

}  // namespace sluice
