#include "tests/kills/given_input.h"

#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/record_batch.h"
#include "common/status.h"

namespace sluice::kills {
namespace {

absl::StatusOr<std::string> Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError("cannot read " + path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string Encoded(const RecordBatch& records) {
  std::string bytes;
  EncodeBatch(records.view(), bytes);
  return bytes;
}

}  // namespace

absl::Status GivenInput::AddProducer(const std::string& producer, const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError("cannot read " + path);
  std::vector<std::string>& records = producers_[producer];
  for (std::string line; std::getline(file, line);) records.push_back(line);
  return absl::OkStatus();
}

absl::StatusOr<ReferenceInterpreter::TaskInputs> GivenInput::Make(
    const proto::SourceInput& source) {
  ReferenceInterpreter::TaskInputs tasks;
  for (const auto& task : source.tasks()) {
    std::vector<std::string>& pieces = tasks.emplace_back();
    for (const auto& piece : task.pieces()) {
      if (piece.has_block()) {
        ASSIGN_OR_RETURN(pieces.emplace_back(), MakeBlock(piece.block()));
      } else if (piece.has_file()) {
        ASSIGN_OR_RETURN(pieces.emplace_back(), MakeRange(piece.file()));
      } else {
        return absl::FailedPreconditionError("the log holds a piece of an unknown kind");
      }
    }
  }
  return tasks;
}

absl::StatusOr<std::string> GivenInput::MakeBlock(const proto::BlockInfo& block) {
  RecordBatch records;
  for (const auto& range : block.producers()) {
    const std::vector<std::string>& given = producers_[range.producer()];
    if (range.first() < 1 || static_cast<uint64_t>(range.last()) > given.size()) {
      return absl::FailedPreconditionError(
          absl::StrCat("records ", range.first(), " to ", range.last(), " of producer ",
                       range.producer(), " were never given"));
    }
    for (int64_t n = range.first(); n <= range.last(); ++n) records.Append(given[n - 1]);
  }
  std::string bytes = Encoded(records);
  if (records.count() != block.records() || Crc32c(bytes) != block.crc32c()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "block ", block.name().number(), " of stream ", block.name().stream(),
        " was added with other records than its producers' numbers name"));
  }
  ++blocks_;
  records_ += records.count();
  return bytes;
}

// The lines that begin in the range.
absl::StatusOr<std::string> GivenInput::MakeRange(const proto::FileRange& range) {
  ASSIGN_OR_RETURN(const std::string file, Contents(range.path()));
  RecordBatch records;
  for (size_t begin = 0; begin < file.size();) {
    const size_t newline = std::min(file.find('\n', begin), file.size());
    if (begin >= range.begin() && begin < range.end()) {
      records.Append(std::string_view(file).substr(begin, newline - begin));
    }
    begin = newline + 1;
  }
  if (range.begin() == 0) ++files_;
  records_ += records.count();
  return Encoded(records);
}

}  // namespace sluice::kills
