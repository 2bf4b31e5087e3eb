// The witness of the log's durable length: a small file beside the log, written after each append.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_ops.h"

namespace sluice {

// Two copies, written in turn, a page apart: a write cut short spoils one at most. Not thread-safe.
class LengthWitness {
 public:
  LengthWitness(FileOps* files, std::string path) : files_(files), path_(std::move(path)) {}

  // Reads what is there; damaged when the file is there but neither copy is whole.
  absl::Status Load();
  // Nothing when there was no file and nothing was raised.
  const std::optional<uint64_t>& length() const { return length_; }

  // Durable when it returns OK. Does nothing when the length is already as high. With `sync` off
  // it is written only.
  absl::Status Raise(uint64_t length, bool sync);

 private:
  absl::Status Make(std::string_view bytes, bool sync);

  FileOps* files_;
  std::string path_;
  std::optional<uint64_t> length_;
  int newer_copy_ = 1;  // the one not to write next
};

}  // namespace sluice
