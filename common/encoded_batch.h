// A record batch that grows in its encoded form, so that its bytes are not copied once more when
// it is complete. For batches that are filled once and then handed over.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/record_batch.h"

namespace sluice {

// Records of any size. Not thread-safe.
class EncodedBatch {
 public:
  EncodedBatch();

  // Makes room for so many record bytes and records at once.
  void Reserve(uint64_t bytes, uint32_t records);
  void Append(std::string_view record);
  // Appends records [from, to) of `batch`.
  void Append(const BatchView& batch, uint32_t from, uint32_t to);
  // A record may also be appended to bytes() and closed by EndRecord, which throws
  // std::length_error when there are more than kBatchBytesMax.
  std::string& bytes() { return encoded_; }
  void EndRecord() {
    if (size() > kBatchBytesMax) [[unlikely]] ThrowFull();
    ends_.push_back(static_cast<uint32_t>(size()));
  }

  uint32_t count() const { return static_cast<uint32_t>(ends_.size()); }
  uint64_t size() const { return encoded_.size() - kHeaderBytes; }  // record bytes
  // The records so far; without the slack behind the last one. Valid until the next change.
  BatchView view() const;

  // The encoded batch, for DecodeBatch; this is empty afterwards. Holds little memory beyond its
  // size.
  std::string Take();

 private:
  static constexpr uint64_t kHeaderBytes = 16;
  [[noreturn]] static void ThrowFull();

  std::string encoded_;  // header and record bytes
  std::vector<uint32_t> ends_;
};

// How many records of `batch` from `from` on fit into `bytes` and `records` together.
uint32_t RecordsThatFit(const BatchView& batch, uint32_t from, uint64_t bytes, uint32_t records);

}  // namespace sluice
