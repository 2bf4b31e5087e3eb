// The file that holds records in their encoded form: what SaveAsObjectFiles writes and
// ObjectFileStream reads. It is one section, or several behind each other where the records of more
// than a partition are in it. docs/formats.md defines the bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/record_batch.h"

namespace sluice {

// One section. `record_type` is the type in words, as RecordName gives it.
std::string EncodeObjectFile(std::string_view record_type, const BatchView& records);

// The records of a whole section, checked: header, type, checksum, batch. The view borrows from
// `file` and `scratch`. Invalid argument: the file has records of another type, which it names.
// Data loss: it is no object file, or damaged.
absl::StatusOr<BatchView> DecodeObjectFile(std::string_view file, std::string_view record_type,
                                           std::vector<uint32_t>& scratch);

// How many bytes the section has that begins so; the first kObjectHeaderBytes of it are enough to
// tell. Data loss: no section begins so.
inline constexpr size_t kObjectHeaderBytes = 24;
absl::StatusOr<uint64_t> ObjectSectionBytes(std::string_view begin);

}  // namespace sluice
