// DecodeManifest accepts exactly what EncodeManifest writes.
#include "checkpoint/manifest.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() {
  Manifest manifest{.sequence = 3, .job_instance = 4, .batch_ms = 5000};
  manifest.decided = {.slot = 8, .checksum = 9};
  manifest.chains = {{"counts", 0, {"a", "b"}}, {"counts", 1, {}}};
  manifest.driver_payload = "payload";
  return {AsSummed(EncodeManifest(manifest)), AsSummed(EncodeManifest(Manifest()))};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string bytes = fuzz::Summed(fuzz::Bytes(data, size), 4, 8);
  const auto manifest = DecodeManifest(bytes);
  if (manifest.ok()) FUZZ_CHECK(EncodeManifest(*manifest) == bytes);
  return 0;
}
