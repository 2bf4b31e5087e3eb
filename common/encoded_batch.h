// A record batch that grows in its encoded form, so that its bytes are not copied once more when
// it is complete. For batches that are filled once and then handed over.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/record_batch.h"

namespace sluice {

// Records of any size, or all of one size, which spares their offsets. Not thread-safe.
class EncodedBatch {
 public:
  // 0: of any size. Else each record has so many bytes; one that has not makes the batch one of
  // records of any size.
  explicit EncodedBatch(uint32_t fixed_size = 0);

  // Makes room for so many record bytes and records at once.
  void Reserve(uint64_t bytes, uint32_t records);
  void Append(std::string_view record);
  // Throws as EndRecord does; nothing was appended then.
  void AppendAll(std::span<const std::string_view> records);
  // Appends `count` records of the fixed size, whose bytes are one behind the other. Throws as
  // EndRecord does; nothing was appended then.
  void AppendFixed(const char* bytes, size_t count);
  // Appends records [from, to) of `batch`.
  void Append(const BatchView& batch, uint32_t from, uint32_t to);
  // A record, of the fixed size if there is one, may also be appended to bytes() and closed by
  // EndRecord, which throws std::length_error when there are more than kBatchBytesMax.
  std::string& bytes() { return encoded_; }
  void EndRecord() {
    if (size() > kBatchBytesMax) [[unlikely]] ThrowFull();
    ++count_;
    if (fixed_size_ == 0) ends_.push_back(static_cast<uint32_t>(size()));
  }

  uint32_t count() const { return count_; }
  uint64_t size() const { return encoded_.size() - kHeaderBytes; }  // record bytes
  // The records so far; without the slack behind the last one. Valid until the next change.
  BatchView view() const;

  // The encoded batch, for DecodeBatch; this is empty afterwards. Holds little memory beyond its
  // size.
  std::string Take();

 private:
  static constexpr uint64_t kHeaderBytes = 16;
  [[noreturn]] static void ThrowFull();
  // From here on records may be of any size.
  void GiveUpFixedSize();

  std::string encoded_;  // header and record bytes
  std::vector<uint32_t> ends_;  // unless of a fixed size
  uint32_t count_ = 0;
  uint32_t fixed_size_;
};

// How many records of `batch` from `from` on fit into `bytes` and `records` together.
uint32_t RecordsThatFit(const BatchView& batch, uint32_t from, uint64_t bytes, uint32_t records);

}  // namespace sluice
