// Reads the lines that begin in a range of a file.
#pragma once

#include <cstdint>
#include <deque>

#include "absl/status/status.h"
#include "common/record_batch.h"
#include "proto/batch.pb.h"

namespace sluice {

// Appends the lines that begin in [begin, end), without their "\n" or "\r\n", to `out`, as several
// batches when they are many. Failed precondition, naming the file, when its size or modification
// time is not what the range says; not found when it is gone.
absl::Status ReadFileLines(const proto::FileRange& range, std::deque<RecordBatch>& out);

}  // namespace sluice
