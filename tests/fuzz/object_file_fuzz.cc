// DecodeObjectFile: what it accepts has the type that was asked for and is what was written.
#include "common/object_file.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() {
  RecordBatch lines, numbers(8);
  for (const char* line : {"one", "", "three"}) lines.Append(line);
  numbers.Append("aaaaaaaa");
  return {AsSummed(EncodeObjectFile("text", lines.view())),
          AsSummed(EncodeObjectFile("int64", numbers.view()))};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string file = fuzz::Summed(fuzz::Bytes(data, size), 12, 24);
  for (const char* type : {"text", "int64"}) {
    std::vector<uint32_t> scratch;
    const auto view = DecodeObjectFile(file, type, scratch);
    if (!view.ok()) continue;
    uint64_t total = 0;
    for (uint32_t i = 0; i < view->count; ++i) total += view->record(i).size();
    FUZZ_CHECK(total == view->size);
    FUZZ_CHECK(EncodeObjectFile(type, *view).size() == file.size());
    FUZZ_CHECK(*ObjectSectionBytes(file) == file.size());
  }
  return 0;
}
