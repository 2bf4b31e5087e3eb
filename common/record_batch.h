// The unit in which records are stored, moved and handed to kernels: their encodings one after
// another, and where each ends. A received block is a record batch unchanged.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Bytes that may be read (not used) beyond the last record of any batch, so that a scanner may
// load whole vectors.
inline constexpr size_t kBatchSlack = 64;

// No batch holds more than this many record bytes; larger datasets are several batches.
inline constexpr uint64_t kBatchBytesMax = uint64_t{1} << 31;

// A borrowed record batch. Record i is data[begin(i), end(i)). Either `fixed_size` is not 0 and
// every record has that many bytes and `ends` is null, or `ends` has `count` offsets.
struct BatchView {
  const char* data = nullptr;
  uint64_t size = 0;
  const uint32_t* ends = nullptr;
  uint32_t count = 0;
  uint32_t fixed_size = 0;

  std::string_view record(uint32_t i) const {
    if (fixed_size != 0) return {data + uint64_t{i} * fixed_size, fixed_size};
    const uint32_t begin = i == 0 ? 0 : ends[i - 1];
    return {data + begin, ends[i] - begin};
  }
};

// An owned, growing record batch. Reused from batch to batch: Clear keeps the memory.
// Not thread-safe.
class RecordBatch {
 public:
  explicit RecordBatch(uint32_t fixed_size = 0) : fixed_size_(fixed_size) {}
  // While empty: it will be taken by TakeEncoded, for which it grows in its encoded form.
  void BeginEncoded();

  // Appends one record.
  void Append(std::string_view record) {
    bytes_.append(record);
    EndRecord();
  }
  // Record bytes may also be appended to bytes(), which may hold something else before the first
  // one, each record closed by EndRecord.
  std::string& bytes() { return bytes_; }
  void EndRecord() {
    ++count_;
    if (fixed_size_ == 0) ends_.push_back(static_cast<uint32_t>(size()));
  }
  // The same for many at once, of the fixed size.
  void EndRecords(uint32_t count) { count_ += count; }
  // And for records of any size: room for the ends of `count`, to be written at once, as offsets
  // from the first record of the batch.
  uint32_t* EndRecordsAt(uint32_t count) {
    count_ += count;
    ends_.resize(count_);
    return ends_.data() + count_ - count;
  }
  // Appends all records of another batch; false when the two differ in fixed size.
  bool AppendAll(const BatchView& other);

  void Clear() {
    bytes_.clear();
    ends_.clear();
    count_ = 0;
    head_ = 0;
  }
  void SetFixedSize(uint32_t fixed_size) { fixed_size_ = fixed_size; }  // only while empty
  bool empty() const { return count_ == 0; }
  uint32_t count() const { return count_; }
  uint64_t size() const { return bytes_.size() - head_; }

  // Valid until the next change. Guarantees the slack.
  BatchView view() const;
  // The encoded batch; this one is empty afterwards. Copies it unless BeginEncoded was called and
  // there is room for the offsets, and not much more than that.
  std::string TakeEncoded();

 private:
  mutable std::string bytes_;
  std::vector<uint32_t> ends_;
  uint32_t count_ = 0;
  uint32_t fixed_size_;
  uint32_t head_ = 0;        // bytes before the first record
  uint64_t taken_bytes_ = 0;  // of the last batch that was taken, encoded
};

// The encoded form, on the wire and in blocks: header (magic, count, fixed size, byte length),
// record bytes, kBatchSlack zero bytes, end offsets. Decoding checks every bound and offset once;
// the view borrows from `encoded`. `encoded` need not be aligned: misaligned offsets are copied
// into `scratch`.
void EncodeBatch(const BatchView& batch, std::string& out);
// The same, into EncodedBatchSize(batch) bytes at `out`.
void EncodeBatchTo(const BatchView& batch, char* out);
std::optional<BatchView> DecodeBatch(std::string_view encoded, std::vector<uint32_t>& scratch);
uint64_t EncodedBatchSize(const BatchView& batch);

}  // namespace sluice
