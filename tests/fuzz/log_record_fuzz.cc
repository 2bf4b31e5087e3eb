// DecodeLogRecord accepts exactly what EncodeLogRecord writes.
#include "checkpoint/log_record.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() {
  const LogRecord opened{.slot = 1, .epoch = 1, .kind = LogRecordKind::kEpochOpened, .nonce = 9};
  const LogRecord entries{.slot = 2, .epoch = 1, .predecessor = 77, .entries = {"one", "", "3"}};
  return {AsSummed(EncodeLogRecord(opened)), AsSummed(EncodeLogRecord(entries))};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string bytes = fuzz::Summed(fuzz::Bytes(data, size), 4, 8);
  const auto record = DecodeLogRecord(bytes);
  LogRecordChecksum(bytes);
  if (!record.ok()) return 0;
  FUZZ_CHECK(EncodeLogRecord(*record) == bytes);
  FUZZ_CHECK(LogRecordChecksum(bytes) == record->checksum);
  return 0;
}
