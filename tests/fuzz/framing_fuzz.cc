// Framers of sockets: the same records and the same complaint however the bytes are cut. The first
// byte says which framer, the second how long the pieces are.
#include "driver/api/framing.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {
namespace {

class ListSink final : public ReceiverSink {
 public:
  bool Store(std::string_view record) override {
    records.emplace_back(record);
    return true;
  }
  std::optional<int64_t> StoreReliably(EncodedBatch, std::string_view, int64_t) override {
    return std::nullopt;
  }
  std::optional<int64_t> LastLogged(std::string_view) override { return 0; }
  bool stopping() const override { return false; }
  bool WaitStopping(int64_t) override { return false; }
  void ReportError(std::string_view) override {}
  std::vector<std::string> records;
};

// Records of a byte that says how many follow.
struct ByLength {
  size_t operator()(std::string_view bytes, RecordEmit<std::string>& emit) const {
    size_t used = 0;
    while (used < bytes.size()) {
      const size_t size = static_cast<unsigned char>(bytes[used]);
      if (bytes.size() - used - 1 < size) break;
      emit(bytes.substr(used + 1, size));
      used += 1 + size;
    }
    return used;
  }
};

struct Served {
  std::vector<std::string> records;
  bool closed = false;
  bool operator==(const Served&) const = default;
};

Served Serve(internal::Framer& framer, std::string_view bytes, size_t piece) {
  ListSink sink;
  std::string error;
  Served served;
  while (!served.closed && !bytes.empty()) {
    served.closed = !framer.Feed(bytes.substr(0, piece), sink, error);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  if (!served.closed) framer.End(/*orderly=*/true, sink, error);
  served.records = std::move(sink.records);
  return served;
}

std::unique_ptr<internal::Framer> Make(uint8_t kind) {
  switch (kind % 4) {
    case 0: return internal::LineFramers()();
    case 1: return internal::RawFramers(0)();
    case 2: return internal::RawFramers(8)();
    default:
      return std::make_unique<internal::UserFramer<std::string, ByLength>>(ByLength());
  }
}

std::string Frame(const RecordBatch& batch) {
  std::string encoded;
  EncodeBatch(batch.view(), encoded);
  const size_t size = encoded.size();
  return std::string{static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                     static_cast<char>(size >> 8), static_cast<char>(size)} + encoded;
}

}  // namespace

std::vector<std::string> Seeds() {
  RecordBatch lines, numbers(8);
  for (const char* line : {"one", "", "three"}) lines.Append(line);
  numbers.Append("aaaaaaaa");
  const std::string zero(1, '\0');
  return {zero + "\5one\r\ntwo\n\nthree", "\1\7" + Frame(lines) + Frame(lines),
          "\2\11" + Frame(numbers) + Frame(numbers), std::string("\3\2\3abc") + zero + "\2de"};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::fuzz;
  Input in(Bytes(data, size));
  const uint8_t kind = in.Byte();
  const size_t piece = 1 + in.Byte() % 32;
  const Served whole = Serve(*Make(kind), in.Rest(), SIZE_MAX);
  const Served cut = Serve(*Make(kind), in.Rest(), piece);
  FUZZ_CHECK(whole == cut);
  return 0;
}
