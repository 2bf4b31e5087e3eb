#include "worker/executor/file_records.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/codec.h"
#include "common/object_file.h"
#include "common/status.h"
#include "worker/executor/file_lines.h"
#include "worker/executor/taken_file.h"

namespace sluice {
namespace {

constexpr uint64_t kBatchBytes = uint64_t{64} << 20;

absl::Status ReadFixed(const proto::FileRange& range, uint32_t length,
                       std::deque<RecordBatch>& out) {
  if (range.file_size() % length != 0) {
    return absl::InvalidArgumentError(
        range.path() + " has " + std::to_string(range.file_size()) +
        " bytes, which are no whole number of records of " + std::to_string(length) + " bytes");
  }
  ASSIGN_OR_RETURN(const TakenFile file, TakenFile::Open(range));
  const uint64_t step = std::max<uint64_t>(1, kBatchBytes / length) * length;
  std::string bytes;
  for (uint64_t at = range.begin(); at < range.end(); at += step) {
    bytes.clear();
    RETURN_IF_ERROR(file.ReadRange(at, std::min(at + step, range.end()), bytes));
    RecordBatch& batch = out.emplace_back();
    for (size_t from = 0; from < bytes.size(); from += length) {
      batch.Append(std::string_view(bytes).substr(from, length));
    }
  }
  return file.CheckUnchanged();
}

absl::StatusOr<std::string> WholeFile(const proto::FileRange& range) {
  if (range.file_size() > kBatchBytesMax) {
    return absl::InvalidArgumentError(range.path() + " has " + std::to_string(range.file_size()) +
                                      " bytes; a file that is read whole may have 2 GiB");
  }
  ASSIGN_OR_RETURN(const TakenFile file, TakenFile::Open(range));
  std::string bytes;
  RETURN_IF_ERROR(file.ReadRange(0, range.file_size(), bytes));
  RETURN_IF_ERROR(file.CheckUnchanged());
  return bytes;
}

absl::Status ReadWhole(const proto::FileRange& range, std::deque<RecordBatch>& out) {
  using Record = std::pair<std::string, std::string>;
  ASSIGN_OR_RETURN(const std::string bytes, WholeFile(range));
  RecordBatch& batch = out.emplace_back(kFixedSize<Record>);
  EncodeRecord<Record>(std::pair<std::string_view, std::string_view>(range.path(), bytes),
                       batch.bytes());
  if (batch.bytes().size() > kBatchBytesMax) {
    return absl::InvalidArgumentError(range.path() + " is too large to be one record");
  }
  batch.EndRecord();
  return absl::OkStatus();
}

// The section of an object file that begins at `at`, or what is there of it.
absl::Status ReadSection(const TakenFile& file, const proto::FileRange& range, uint64_t at,
                         std::string& bytes) {
  const uint64_t left = range.file_size() - at;
  const uint64_t header = std::min<uint64_t>(left, kObjectHeaderBytes);
  RETURN_IF_ERROR(file.ReadRange(at, at + header, bytes));
  const absl::StatusOr<uint64_t> size = ObjectSectionBytes(bytes);
  if (!size.ok()) return absl::OkStatus();
  return file.ReadRange(at + header, at + std::min(left, *size), bytes);
}

absl::Status ReadObjects(const Node& source, const proto::FileRange& range,
                         std::deque<RecordBatch>& out) {
  ASSIGN_OR_RETURN(const TakenFile file, TakenFile::Open(range));
  std::string bytes;
  uint64_t at = 0;
  do {
    bytes.clear();
    RETURN_IF_ERROR(ReadSection(file, range, at, bytes));
    std::vector<uint32_t> scratch;
    const absl::StatusOr<BatchView> records =
        DecodeObjectFile(bytes, source.record_type, scratch);
    if (!records.ok()) {
      RETURN_IF_ERROR(file.CheckUnchanged());
      return Annotate(records.status(), range.path());
    }
    RecordBatch& batch = out.emplace_back(records->fixed_size);
    batch.AppendAll(*records);
    at += bytes.size();
  } while (at < range.file_size());
  return file.CheckUnchanged();
}

}  // namespace

absl::Status ReadFileRecords(const Node& source, const proto::FileRange& range,
                             std::deque<RecordBatch>& out) {
  switch (source.source.file_format) {
    case FileFormat::kLines: return ReadFileLines(range, out);
    case FileFormat::kWhole: return ReadWhole(range, out);
    case FileFormat::kFixedLength: return ReadFixed(range, source.source.record_length, out);
    case FileFormat::kObjects: return ReadObjects(source, range, out);
  }
  return absl::InternalError("a file stream of no known format");
}

absl::Status ReadConstantRecords(const Node& source, const proto::ConstantRange& range,
                                 std::deque<RecordBatch>& out) {
  std::vector<uint32_t> scratch;
  const auto all = DecodeBatch(*source.source.constant, scratch);
  if (!all.has_value() || range.begin() > range.end() || range.end() > all->count) {
    return absl::InternalError("a range that the constant stream does not have");
  }
  RecordBatch& batch = out.emplace_back(all->fixed_size);
  for (uint32_t i = range.begin(); i < range.end(); ++i) batch.Append(all->record(i));
  return absl::OkStatus();
}

}  // namespace sluice
