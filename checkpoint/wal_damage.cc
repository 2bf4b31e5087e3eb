#include "checkpoint/wal_damage.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "checkpoint/bytes.h"
#include "checkpoint/file_ops.h"
#include "common/crc32c.h"

namespace sluice::internal {
namespace {

namespace fs = std::filesystem;

// A log file is blocks of 32 KiB; no record's header crosses the end of one.
constexpr size_t kBlockBytes = 32768;
constexpr size_t kHeaderBytes = 7;  // masked checksum, length (2), type
constexpr size_t kTypeOffset = 6;
constexpr uint32_t kMaskDelta = 0xa282ead8;

uint32_t Masked(uint32_t crc) { return (crc >> 15 | crc << 17) + kMaskDelta; }

std::optional<size_t> FirstBadRecord(std::string_view file) {
  size_t offset = 0;
  while (offset < file.size()) {
    const size_t left_in_block = kBlockBytes - offset % kBlockBytes;
    if (left_in_block < kHeaderBytes) {
      offset += left_in_block;
      continue;
    }
    if (file.size() - offset < kHeaderBytes) return offset;
    FrameReader header(file.substr(offset, kHeaderBytes));
    const uint32_t checksum = header.U32();
    const size_t length = header.U8() | size_t{header.U8()} << 8;
    if (length > left_in_block - kHeaderBytes) return offset;
    const size_t end = offset + kHeaderBytes + length;
    if (end > file.size()) return offset;
    const std::string_view summed = file.substr(offset + kTypeOffset, 1 + length);
    if (Masked(Crc32c(summed)) != checksum) return offset;
    offset = end;
  }
  return std::nullopt;
}

}  // namespace

std::string FindWalDamage(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (entry->path().extension() == ".log") paths.push_back(entry->path());
  }
  std::ranges::sort(paths);
  for (const std::string& path : paths) {
    const auto bytes = FileOps::Posix()->Read(path);
    if (!bytes.ok()) continue;
    const std::optional<size_t> offset = FirstBadRecord(*bytes);
    if (offset) return path + ", offset " + std::to_string(*offset);
  }
  return "";
}

}  // namespace sluice::internal
