// DecodeRecord for records of each kind: what it accepts is encoded to bytes that are read back to
// the same bytes. The first byte says which type.
#include <array>
#include <map>

#include "common/codec.h"
#include "tests/fuzz/fuzz.h"

namespace sluice {

enum class Colour : uint16_t { kRed, kBlue };

struct Order {
  std::string customer;
  int64_t cents = 0;
  std::optional<std::string> note;
  std::vector<std::pair<std::string, uint32_t>> lines;
};
struct Point {
  double x = 0;
  float y = 0;
  bool known = false;
  Colour colour = Colour::kRed;
};

// A type with a codec of its own: sorted pairs.
struct Index {
  std::map<std::string, int64_t> of;
};
template <>
struct Codec<Index> {
  static constexpr std::string_view kName = "fuzz.Index v1";
  static void Encode(const Index& value, std::string& out) {
    EncodeRecord<std::vector<std::pair<std::string, int64_t>>>(
        std::vector<std::pair<std::string, int64_t>>(value.of.begin(), value.of.end()), out);
  }
  static bool Decode(std::string_view bytes, Index& value) {
    std::vector<std::pair<std::string_view, int64_t>> pairs;
    if (!DecodeRecord<std::vector<std::pair<std::string, int64_t>>>(bytes, pairs)) return false;
    for (const auto& [name, number] : pairs) value.of.emplace(name, number);
    return true;
  }
};

namespace fuzz {
namespace {

template <class T>
void Check(std::string_view bytes) {
  View<T> view{};
  if (!DecodeRecord<T>(bytes, view)) return;
  if (kFixedSize<T> != 0) FUZZ_CHECK(bytes.size() == kFixedSize<T>);
  std::string once, twice;
  EncodeRecord<T>(view, once);
  View<T> again{};
  FUZZ_CHECK(DecodeRecord<T>(once, again));
  EncodeRecord<T>(again, twice);
  FUZZ_CHECK(once == twice);
  // As the owned record, too.
  std::string owned;
  EncodeRecord<T>(internal::ToOwned(view), owned);
  FUZZ_CHECK(owned == once);
  if constexpr (KeyRecord<T>) {
    // Canonical bytes are those of one value: read back and written again they stay.
    std::string key, key_again;
    EncodeKey<T>(view, key);
    View<T> of_key{};
    FUZZ_CHECK(DecodeRecord<T>(key, of_key));
    EncodeKey<T>(of_key, key_again);
    FUZZ_CHECK(key == key_again);
    // As a field in front of others.
    std::string field;
    PutKeyField<T>(key, field);
    field += "behind";
    internal::ByteReader in{field.data(), field.data() + field.size()};
    std::string_view taken;
    FUZZ_CHECK(TakeKeyField<T>(in, taken) && taken == key && in.left() == 6);
  }
}

using Check1 = void (*)(std::string_view);
constexpr Check1 kChecks[] = {
    Check<int64_t>,
    Check<bool>,
    Check<double>,
    Check<std::string>,
    Check<std::pair<std::string, int64_t>>,
    Check<std::pair<int64_t, uint8_t>>,
    Check<std::tuple<std::string, std::optional<double>, Colour>>,
    Check<std::optional<std::vector<std::string>>>,
    Check<std::vector<std::vector<bool>>>,
    Check<std::array<std::pair<bool, float>, 3>>,
    Check<std::array<char, 5>>,
    Check<std::array<std::string, 2>>,
    Check<Order>,
    Check<Point>,
    Check<Index>,
    Check<std::pair<Index, Point>>,
};

template <class T>
void Seed(std::vector<std::string>& seeds, size_t type, const T& record) {
  std::string bytes(1, static_cast<char>(type));
  EncodeRecord<T>(record, bytes);
  seeds.push_back(std::move(bytes));
}

}  // namespace

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds;
  Seed(seeds, 0, int64_t{-5});
  Seed(seeds, 1, true);
  Seed(seeds, 2, -0.0);
  Seed(seeds, 3, std::string("text"));
  Seed(seeds, 4, std::pair<std::string, int64_t>("key", 7));
  Seed(seeds, 5, std::pair<int64_t, uint8_t>(1, 2));
  Seed(seeds, 6, std::tuple<std::string, std::optional<double>, Colour>("a", 1.5, Colour::kBlue));
  Seed(seeds, 7, std::optional(std::vector<std::string>{"", "bc"}));
  Seed(seeds, 8, std::vector<std::vector<bool>>{{true}, {}});
  Seed(seeds, 9, std::array<std::pair<bool, float>, 3>{});
  Seed(seeds, 10, std::array<char, 5>{'a', 'b'});
  Seed(seeds, 11, std::array<std::string, 2>{"x", "yz"});
  Seed(seeds, 12, Order{"c", 100, "n", {{"l", 1}, {"m", 2}}});
  Seed(seeds, 13, Point{1, 2, true, Colour::kBlue});
  Seed(seeds, 14, Index{{{"a", 1}, {"b", 2}}});
  Seed(seeds, 15, std::pair(Index{{{"a", 1}}}, Point{}));
  return seeds;
}

}  // namespace fuzz
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::Input in(sluice::fuzz::Bytes(data, size));
  const size_t type = in.Byte() % std::size(sluice::fuzz::kChecks);
  sluice::fuzz::kChecks[type](in.Rest());
  return 0;
}
