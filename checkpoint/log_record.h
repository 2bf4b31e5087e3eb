// The bytes of one slot of the driver log (docs/formats.md). Entries are opaque here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice {

// No record is larger: a decoder refuses, a writer splits its entries over several slots.
inline constexpr uint64_t kLogRecordBytesMax = uint64_t{256} << 20;

enum class LogRecordKind : uint8_t { kEpochOpened = 1, kEntries = 2 };

struct LogRecord {
  uint64_t slot = 0;  // the first is 1
  uint64_t epoch = 0;  // the first is 1
  LogRecordKind kind = LogRecordKind::kEntries;
  uint64_t nonce = 0;        // epoch_opened only: tells one take-over from another
  uint32_t predecessor = 0;  // checksum of the record in the slot before; 0 in slot 1
  std::vector<std::string> entries;
  uint32_t checksum = 0;  // filled by the decoder; EncodeLogRecord ignores it
};

std::string EncodeLogRecord(const LogRecord& record);

// The checksum that EncodeLogRecord put into `encoded`.
uint32_t LogRecordChecksum(std::string_view encoded);

// Data loss, with the offset, for anything that EncodeLogRecord did not write.
absl::StatusOr<LogRecord> DecodeLogRecord(std::string_view bytes);

}  // namespace sluice
