#include "checkpoint/log_record.h"

#include <string>
#include <vector>

#include "checkpoint/bytes.h"
#include "common/crc32c.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

LogRecord Example() {
  LogRecord record;
  record.slot = 12;
  record.epoch = 3;
  record.kind = LogRecordKind::kEntries;
  record.predecessor = 0x01020304;
  record.entries = {"first", "", std::string("\0\xff", 2)};
  return record;
}

// The bytes with a checksum that fits them, so that what is behind the checksum is reached.
std::string Resummed(std::string bytes) {
  internal::ByteWriter checksum;
  checksum.U32(Crc32c(std::string_view(bytes).substr(8)));
  return bytes.replace(4, 4, checksum.bytes());
}

TEST(LogRecordTest, ComesBackAsItWas) {
  const std::string bytes = EncodeLogRecord(Example());
  const auto record = DecodeLogRecord(bytes);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->slot, 12u);
  EXPECT_EQ(record->epoch, 3u);
  EXPECT_EQ(record->kind, LogRecordKind::kEntries);
  EXPECT_EQ(record->predecessor, 0x01020304u);
  EXPECT_EQ(record->entries, Example().entries);
  EXPECT_EQ(record->checksum, LogRecordChecksum(bytes));
}

TEST(LogRecordTest, AnEpochOpenedCarriesItsNonce) {
  LogRecord record;
  record.slot = record.epoch = 1;
  record.kind = LogRecordKind::kEpochOpened;
  record.nonce = ~uint64_t{0};
  EXPECT_EQ(DecodeLogRecord(EncodeLogRecord(record))->nonce, record.nonce);
}

TEST(LogRecordTest, TheBytesAreThoseOfTheDocument) {
  LogRecord record;
  record.slot = record.epoch = 1;
  record.kind = LogRecordKind::kEpochOpened;
  record.nonce = 2;
  const std::string bytes = EncodeLogRecord(record);
  EXPECT_EQ(bytes.size(), 41u);
  EXPECT_EQ(bytes.substr(0, 4), "SWL1");
  EXPECT_EQ(bytes.substr(8, 33), std::string("\1\0\0\0\0\0\0\0"
                                             "\1\0\0\0\0\0\0\0"
                                             "\1"
                                             "\2\0\0\0\0\0\0\0"
                                             "\0\0\0\0"
                                             "\0\0\0\0", 33));
}

TEST(LogRecordTest, EveryFlippedBitAndEveryCutIsFound) {
  const std::string bytes = EncodeLogRecord(Example());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string changed = bytes;
    changed[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    ASSERT_FALSE(DecodeLogRecord(changed).ok()) << bit;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(DecodeLogRecord(std::string_view(bytes).substr(0, size)).ok()) << size;
  }
}

TEST(LogRecordTest, CountsAndLengthsAreCheckedBeforeAnythingIsAllocated) {
  const std::string bytes = EncodeLogRecord(Example());
  const struct {
    size_t offset;
    std::string replacement;
    const char* message;
  } cases[] = {
      {24, "\3", "unknown kind of record at offset 25"},
      {37, "\xff\xff\xff\xff", "a list of 4294967295 does not fit in the 19 bytes that are left"},
      {41, "\xff\xff\xff\x7f", "a string of 2147483647 bytes does not fit in the 15"},
      {37, std::string("\2\0\0\0", 4), "6 bytes too many at offset 54"},
  };
  for (const auto& c : cases) {
    std::string changed = bytes;
    changed.replace(c.offset, c.replacement.size(), c.replacement);
    const absl::Status status = DecodeLogRecord(Resummed(changed)).status();
    EXPECT_NE(std::string(status.message()).find(c.message), std::string::npos) << status;
  }
}

}  // namespace
}  // namespace sluice
