// State parts in their plain encoding, and the value of one entry, which both encodings have.
#include "checkpoint/state_part.h"
#include "checkpoint/state_pieces.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {
namespace {

std::vector<StatePiece> Pieces() {
  return {{"counts", 0, {{"a", false, "1", std::nullopt, 1}, {"b", true, "", std::nullopt, 2}}},
          {"counts", 1, {}},
          {"sums", 0, {{"key", false, "value", 1000, 3}}}};
}

// What is accepted is one value, and written again it is the same bytes.
void CheckEntryValue(std::string_view bytes) {
  internal::FrameReader reader(bytes);
  StateEntry entry;
  internal::ReadEntryValue(&reader, &entry);
  if (!reader.Finish("entry").ok()) return;
  StateEntries again;
  again.push_back(entry);
  FUZZ_CHECK(again[0].value == bytes);
}

void CheckPart(const std::string& bytes) {
  const auto part = NewPlainStatePartCodec()->Open("part", bytes);
  if (!part.ok()) return;
  FUZZ_CHECK((*part)->Verify().ok());
  uint64_t read = 0;
  for (const StatePiece& piece : Pieces()) {
    (void)(*part)->Read(piece.operator_name, piece.partition, [&](StateEntry&& entry) {
      read += entry.key.size() + entry.value.size();
      return absl::OkStatus();
    });
  }
  FUZZ_CHECK(read <= bytes.size() * Pieces().size());
}

}  // namespace

std::vector<std::string> Seeds() {
  const auto part = NewPlainStatePartCodec()->Encode(Pieces());
  const std::vector<StatePiece> pieces = Pieces();
  // The second lowest bit of the first byte tells the two.
  return {"\1" + *part, "\2" + std::string(pieces[2].entries[0].value)};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string_view input = fuzz::Bytes(data, size);
  if (!input.empty() && (input[0] & 2) != 0) {
    fuzz::CheckEntryValue(input.substr(1));
  } else {
    fuzz::CheckPart(fuzz::Summed(input, 4, 8));
  }
  return 0;
}
