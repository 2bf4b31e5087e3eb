#include "checkpoint/log_record.h"

#include "checkpoint/bytes.h"
#include "common/crc32c.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr uint32_t kMagic = 0x314c5753;  // "SWL1"
constexpr size_t kChecksumOffset = 4;
constexpr size_t kSummedFrom = 8;

}  // namespace

std::string EncodeLogRecord(const LogRecord& record) {
  internal::ByteWriter writer;
  writer.U32(kMagic);
  writer.U32(0);  // the checksum, below
  writer.U64(record.slot);
  writer.U64(record.epoch);
  writer.U8(static_cast<uint8_t>(record.kind));
  writer.U64(record.nonce);
  writer.U32(record.predecessor);
  writer.U32(static_cast<uint32_t>(record.entries.size()));
  for (const std::string& entry : record.entries) writer.String(entry);
  writer.PatchU32(kChecksumOffset,
                  Crc32c(std::string_view(writer.bytes()).substr(kSummedFrom)));
  return writer.Take();
}

uint32_t LogRecordChecksum(std::string_view encoded) {
  if (encoded.size() < kSummedFrom) return 0;
  return internal::FrameReader(encoded.substr(kChecksumOffset)).U32();
}

absl::StatusOr<LogRecord> DecodeLogRecord(std::string_view bytes) {
  internal::FrameReader reader(bytes);
  if (bytes.size() > kLogRecordBytesMax) reader.Fail("larger than any record");
  if (reader.U32() != kMagic) reader.Fail("does not begin like a log record");
  LogRecord record;
  record.checksum = reader.U32();
  if (reader.ok() && record.checksum != Crc32c(bytes.substr(kSummedFrom))) {
    reader.Fail("checksum does not match");
  }
  record.slot = reader.U64();
  record.epoch = reader.U64();
  const uint8_t kind = reader.U8();
  record.kind = static_cast<LogRecordKind>(kind);
  if (kind != 1 && kind != 2) reader.Fail("unknown kind of record");
  record.nonce = reader.U64();
  record.predecessor = reader.U32();
  const uint32_t count = reader.Count(4);
  record.entries.reserve(count);
  for (uint32_t i = 0; i < count && reader.ok(); ++i) record.entries.emplace_back(reader.String());
  RETURN_IF_ERROR(reader.Finish("log record"));
  return record;
}

}  // namespace sluice
