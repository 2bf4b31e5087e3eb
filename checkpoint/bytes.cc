#include "checkpoint/bytes.h"

namespace sluice::internal {

void ByteWriter::PatchU32(size_t offset, uint32_t value) {
  for (int i = 0; i < 4; ++i) bytes_[offset + i] = static_cast<char>(value >> (8 * i));
}

uint64_t FrameReader::Fixed(size_t width, std::string_view what) {
  if (!ok()) return 0;
  if (left() < width) {
    Fail(std::string(what) + " is cut off");
    return 0;
  }
  uint64_t value = 0;
  for (size_t i = 0; i < width; ++i) {
    value |= uint64_t{static_cast<uint8_t>(bytes_[offset_ + i])} << (8 * i);
  }
  offset_ += width;
  return value;
}

std::string_view FrameReader::String() {
  const uint32_t size = U32();
  if (!ok()) return {};
  if (size > left()) {
    Fail("a string of " + std::to_string(size) + " bytes does not fit in the " +
         std::to_string(left()) + " that are left");
    return {};
  }
  const std::string_view value = bytes_.substr(offset_, size);
  offset_ += size;
  return value;
}

std::string_view FrameReader::Rest() {
  if (!ok()) return {};
  const std::string_view value = bytes_.substr(offset_);
  offset_ = bytes_.size();
  return value;
}

uint32_t FrameReader::Count(size_t bytes_each) {
  const uint32_t count = U32();
  if (!ok()) return 0;
  if (count > left() / bytes_each) {
    Fail("a list of " + std::to_string(count) + " does not fit in the " + std::to_string(left()) +
         " bytes that are left");
    return 0;
  }
  return count;
}

void FrameReader::Fail(std::string_view what) {
  if (!ok()) return;
  what_ = what;
  failed_at_ = offset_;
}

absl::Status FrameReader::Finish(std::string_view format) {
  if (ok() && left() != 0) Fail(std::to_string(left()) + " bytes too many");
  if (ok()) return absl::OkStatus();
  return absl::DataLossError(std::string(format) + ": " + what_ + " at offset " +
                             std::to_string(failed_at_));
}

}  // namespace sluice::internal
