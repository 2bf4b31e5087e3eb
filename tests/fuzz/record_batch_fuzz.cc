// DecodeBatch: what it accepts is exactly what EncodeBatch writes, and every record lies within.
#include "common/encoded_batch.h"
#include "common/record_batch.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() {
  RecordBatch lines, numbers(8);
  for (const char* line : {"one", "", "three", "a longer line with words"}) lines.Append(line);
  for (const char* number : {"aaaaaaaa", "bbbbbbbb"}) numbers.Append(number);
  std::vector<std::string> seeds(3);
  EncodeBatch(lines.view(), seeds[0]);
  EncodeBatch(numbers.view(), seeds[1]);
  EncodeBatch(RecordBatch().view(), seeds[2]);
  return seeds;
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string_view bytes = fuzz::Bytes(data, size);
  std::vector<uint32_t> scratch;
  const auto view = DecodeBatch(bytes, scratch);
  if (!view.has_value()) return 0;
  FUZZ_CHECK(view->data >= bytes.data());
  FUZZ_CHECK(view->data + view->size + kBatchSlack <= bytes.data() + bytes.size());
  uint64_t total = 0;
  for (uint32_t i = 0; i < view->count; ++i) {
    const std::string_view record = view->record(i);
    FUZZ_CHECK(record.data() == view->data + total);
    total += record.size();
  }
  FUZZ_CHECK(total == view->size);
  // The slack's content is nobody's, so a second encoding is compared with the first.
  std::string once, twice;
  EncodeBatch(*view, once);
  FUZZ_CHECK(once.size() == bytes.size());
  std::vector<uint32_t> again;
  const auto second = DecodeBatch(once, again);
  FUZZ_CHECK(second.has_value() && second->count == view->count);
  EncodeBatch(*second, twice);
  FUZZ_CHECK(once == twice);
  // In two pieces as in one.
  EncodedBatch pieces(view->fixed_size);
  pieces.Append(*view, 0, view->count / 2);
  pieces.Append(*view, view->count / 2, view->count);
  if (view->count > 0) FUZZ_CHECK(pieces.Take() == once);
  return 0;
}
