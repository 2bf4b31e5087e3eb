// Headers that our objects carry, and what the parts of s3_bucket.h share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/s3_bucket.h"

namespace sluice {

inline constexpr char kIfNoneMatch[] = "if-none-match";
inline constexpr char kNonceHeader[] = "x-amz-meta-sluice-put";   // names the put that made it
inline constexpr char kCrcHeader[] = "x-amz-meta-sluice-crc32c";  // of its bytes, eight hex digits

std::string HexOfCrc(uint32_t crc);
std::string Base64OfCrc(uint32_t crc);
absl::Status UnexpectedAnswer(const S3Request& request, const S3Answer& answer);

// The bytes of an object, piece by piece: in memory, or in a file.
class S3Bucket::Source {
 public:
  explicit Source(std::string_view bytes) : bytes_(bytes), size_(bytes.size()) {}
  static absl::StatusOr<std::unique_ptr<Source>> OpenFile(const std::string& path);
  ~Source();

  uint64_t size() const { return size_; }
  absl::StatusOr<uint32_t> Checksum();
  // Valid until the next call. Data loss when a file is shorter than it was.
  absl::StatusOr<std::string_view> Read(uint64_t offset, uint64_t size);

 private:
  Source(int fd, uint64_t size) : size_(size), fd_(fd) {}

  const std::string_view bytes_;
  const uint64_t size_;
  const int fd_ = -1;
  std::string buffer_;
};

}  // namespace sluice
