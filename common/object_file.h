// The file that holds one partition of records in their encoded form: what SaveAsObjectFiles
// writes and ObjectFileStream reads. docs/formats.md defines the bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/record_batch.h"

namespace sluice {

// `record_type` is the type in words, as RecordName gives it.
std::string EncodeObjectFile(std::string_view record_type, const BatchView& records);

// The records of a whole file, checked: header, type, checksum, batch. The view borrows from `file`
// and `scratch`. Invalid argument: the file has records of another type, which it names. Data
// loss: it is no object file, or damaged.
absl::StatusOr<BatchView> DecodeObjectFile(std::string_view file, std::string_view record_type,
                                           std::vector<uint32_t>& scratch);

}  // namespace sluice
