// Reads the records of a range of a file, by the format of its stream.
#pragma once

#include <deque>

#include "absl/status/status.h"
#include "common/plan/graph.h"
#include "common/record_batch.h"
#include "proto/batch.pb.h"

namespace sluice {

// Appends the range's records to `out`. `source` is the stream's node. Every error names the file;
// one that has no whole number of fixed-length records, or is no object file of the node's record
// type, is an error for good.
absl::Status ReadFileRecords(const Node& source, const proto::FileRange& range,
                             std::deque<RecordBatch>& out);

// Appends the records [begin, end) of a constant stream.
absl::Status ReadConstantRecords(const Node& source, const proto::ConstantRange& range,
                                 std::deque<RecordBatch>& out);

}  // namespace sluice
