// Objects of the received-data log and their names: what is accepted is what the encoders write.
//
// A checksum at the end would stop nearly every mutation: where an input's first byte is odd, it is
// made that of the bytes before it.
#include "checkpoint/received_objects.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() {
  return {AsSummed(EncodeReceived("bytes of a batch")), AsSummed(EncodeReceived("")),
          AsSummed(ObjectOf({7, 1, 5, 12})),
          AsSummed(ObjectOf({UINT64_MAX, UINT32_MAX, UINT64_MAX, UINT64_MAX}))};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::Input in(fuzz::Bytes(data, size));
  const bool mend = in.Byte() % 2 == 1;
  std::string object(in.Rest());
  if (const auto name = ReceivedNameOf(object)) FUZZ_CHECK(ObjectOf(*name) == object);
  if (mend && object.size() >= sizeof(uint32_t)) {
    object.resize(object.size() - sizeof(uint32_t));
    const uint32_t sum = Crc32c(object);
    for (int shift = 0; shift < 32; shift += 8) object += static_cast<char>(sum >> shift);
  }
  const auto batch = DecodeReceived(object);
  FUZZ_CHECK(batch.ok() || !mend || object.size() < sizeof(uint32_t));
  if (batch.ok()) FUZZ_CHECK(EncodeReceived(*batch) == object);
  return 0;
}
