#include "common/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "common/codec_text.h"
#include "common/key_hash.h"

namespace sluice {
namespace {

enum class Color : uint8_t { kRed = 1, kBlue = 2 };

struct Place {
  std::string name;
  std::optional<double> height;
  std::vector<std::string> tags;
  bool operator==(const Place&) const = default;
};

struct Wide {
  int8_t a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p;
  bool operator==(const Wide&) const = default;
};
struct TooWide {
  int8_t a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q;
};

// No aggregate: has a codec of its own.
class Money {
 public:
  Money() = default;
  explicit Money(int64_t cents) : cents_(cents) {}
  int64_t cents() const { return cents_; }
  bool operator==(const Money&) const = default;

 private:
  int64_t cents_ = 0;
};

// A stand-in with the members by which Protobuf messages are known.
class FakeMessage {
 public:
  FakeMessage() = default;
  explicit FakeMessage(std::string text) : text_(std::move(text)) {}
  bool SerializeToString(std::string* out) const { return *out = text_, true; }
  bool AppendToString(std::string* out) const { return *out += text_, true; }
  bool ParseFromArray(const void* data, int size) {
    text_.assign(static_cast<const char*>(data), static_cast<size_t>(size));
    return text_ != "broken";
  }
  std::string GetTypeName() const { return "test.FakeMessage"; }
  std::string ShortDebugString() const { return "text: \"" + text_ + "\""; }
  bool operator==(const FakeMessage&) const = default;

 private:
  std::string text_;
};

}  // namespace

template <>
struct Codec<Money> {
  static constexpr std::string_view kName = "test.Money v1";
  static void Encode(const Money& value, std::string& out) { out += std::to_string(value.cents()); }
  static bool Decode(std::string_view bytes, Money& value) {
    if (bytes.empty() || bytes.size() > 18) return false;
    value = Money(std::stoll(std::string(bytes)));
    return true;
  }
  static void AppendText(const Money& value, std::string& out) {
    out += std::to_string(value.cents()) + "c";
  }
};

namespace {

// ---- types --------------------------------------------------------------------------------

struct WithView { std::string_view text; };
struct WithPointer { const char* text; };
struct WithReference { const std::string& text; };
struct Empty {};

static_assert(Record<int> && Record<bool> && Record<double> && Record<Color>);
static_assert(Record<Place> && Record<Wide> && Record<Money> && Record<FakeMessage>);
static_assert(Record<std::tuple<std::string, Place, std::array<int, 3>>>);
static_assert(!Record<std::string_view> && !Record<const char*> && !Record<int*>);
static_assert(!Record<long double> && !Record<const int> && !Record<int&>);
static_assert(!Record<WithView> && !Record<WithPointer> && !Record<WithReference>);
static_assert(!Record<TooWide> && !Record<Empty> && !Record<std::tuple<>>);
static_assert(!Record<std::pair<std::string, const char*>>);
static_assert(!Record<std::vector<std::string_view>>);

static_assert(std::same_as<Own<std::string_view>, std::string>);
static_assert(std::same_as<Own<std::pair<std::string_view, std::vector<std::string_view>>>,
                           std::pair<std::string, std::vector<std::string>>>);
static_assert(std::same_as<Own<const std::optional<std::string_view>&>,
                           std::optional<std::string>>);
static_assert(Row<std::pair<const std::string_view, int>>);
static_assert(!Row<std::pair<const std::string_view&, int>>);
static_assert(!Row<std::tuple<int&>>);
static_assert(std::same_as<View<std::pair<std::string, Place>>,
                           std::pair<std::string_view, Place>>);

static_assert(kFixedSize<std::pair<int64_t, double>> == 16);
static_assert(kFixedSize<Wide> == 16);
static_assert(kFixedSize<std::array<std::pair<int32_t, bool>, 3>> == 15);
static_assert(kFixedSize<std::pair<int64_t, std::string>> == 0);
// Records that are encoded by one copy of all: no padding, fields in their order, no text.
static_assert(internal::kSameBytes<int64_t> && internal::kSameBytes<std::pair<int64_t, double>>);
static_assert(internal::kSameBytes<std::array<std::pair<int32_t, float>, 3>>);
static_assert(!internal::kSameBytes<std::pair<int64_t, int32_t>>);
static_assert(!internal::kSameBytes<std::tuple<int64_t, int64_t>>);
static_assert(!internal::kSameBytes<bool> && !internal::kSameBytes<std::pair<bool, char>>);
static_assert(!internal::kSameBytes<std::string> && !internal::kSameBytes<Place>);
static_assert(!internal::kSameBytes<std::optional<int64_t>> && !internal::kSameBytes<Money>);
static_assert(KeyRecord<Place> && !KeyRecord<FakeMessage>);
static_assert(!KeyRecord<std::pair<int, FakeMessage>>);

// ---- round trips --------------------------------------------------------------------------

template <class T>
void ExpectRoundTrip(const T& value) {
  std::string bytes;
  EncodeRecord<T>(value, bytes);
  View<T> view{};
  ASSERT_TRUE(DecodeRecord<T>(bytes, view)) << RecordName<T>();
  EXPECT_EQ(internal::ToOwned(view), value) << RecordName<T>();
  if constexpr (kFixedSize<T> != 0) {
    EXPECT_EQ(bytes.size(), kFixedSize<T>);
  }

  // No prefix that is shorter reads beyond its end, and what is longer is refused.
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<char> prefix(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
    const bool whole = DecodeRecord<T>({prefix.data(), size}, view);
    EXPECT_TRUE(!whole || internal::RecordCodec<T>::kDelimited) << RecordName<T>() << size;
  }
  if (!internal::RecordCodec<T>::kDelimited) {
    EXPECT_FALSE(DecodeRecord<T>(bytes + '\0', view)) << RecordName<T>();
  }
}

TEST(Codec, EveryKindComesBack) {
  ExpectRoundTrip<int64_t>(-5);
  ExpectRoundTrip<uint8_t>(255);
  ExpectRoundTrip(true);
  ExpectRoundTrip(0.1);
  ExpectRoundTrip(Color::kBlue);
  ExpectRoundTrip(std::string("with \0 zero", 11));
  ExpectRoundTrip(std::string());
  ExpectRoundTrip(std::string(300, 'x'));
  ExpectRoundTrip(std::pair<std::string, int32_t>("key", 7));
  ExpectRoundTrip(std::tuple<int8_t, std::string, double>(1, "two", 3.0));
  ExpectRoundTrip(std::optional<std::string>());
  ExpectRoundTrip(std::optional<std::string>("here"));
  ExpectRoundTrip(std::vector<std::string>{"a", "", "ccc"});
  ExpectRoundTrip(std::vector<std::vector<int64_t>>{{1, 2}, {}, {3}});
  ExpectRoundTrip(std::array<std::string, 2>{"x", "y"});
  ExpectRoundTrip(Place{"hill", 12.5, {"green", "windy"}});
  ExpectRoundTrip(std::pair<std::string, Place>("here", {"hill", std::nullopt, {}}));
  ExpectRoundTrip(Wide{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  ExpectRoundTrip(Money(1250));
  ExpectRoundTrip(std::pair<std::string, Money>("price", Money(-3)));
  ExpectRoundTrip(FakeMessage("hello"));
  ExpectRoundTrip(std::vector<FakeMessage>{FakeMessage("a"), FakeMessage("")});
}

TEST(Codec, TopLevelTextIsBareAndNestedTextHasItsLength) {
  std::string bytes;
  EncodeRecord<std::string>(std::string_view("word"), bytes);
  EXPECT_EQ(bytes, "word");
  bytes.clear();
  EncodeRecord<std::pair<std::string, uint16_t>>(std::pair<std::string_view, int>("word", 258),
                                                 bytes);
  EXPECT_EQ(bytes, "\x04word\x02\x01");
}

TEST(Codec, HostileBytesAreRefused) {
  View<std::vector<std::string>> strings;
  // A count far beyond the bytes that are there.
  EXPECT_FALSE(DecodeRecord<std::vector<std::string>>("\xff\xff\xff\xff\x0f", strings));
  // Varints that are too long, do not end, or overflow.
  EXPECT_FALSE(DecodeRecord<std::vector<std::string>>(std::string(11, '\xff'), strings));
  EXPECT_FALSE(DecodeRecord<std::vector<std::string>>("\x80", strings));
  const std::string overflow = std::string(9, '\x80') + '\x02';
  EXPECT_FALSE(DecodeRecord<std::vector<std::string>>(overflow, strings));
  bool truth;
  EXPECT_FALSE(DecodeRecord<bool>("\x02", truth));
  std::optional<std::string_view> maybe;
  EXPECT_FALSE(DecodeRecord<std::optional<std::string>>("\x02", maybe));
  FakeMessage message;
  EXPECT_FALSE(DecodeRecord<FakeMessage>("broken", message));
}

TEST(Codec, RandomBytesNeverReadBeyondTheEnd) {
  uint64_t random = 1;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<char> bytes(static_cast<size_t>(i % 40));  // exact size: ASan sees any overrun
    for (char& byte : bytes) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      byte = static_cast<char>(random >> 60);  // small values make plausible lengths
    }
    std::pair<std::string_view, Place> view;
    DecodeRecord<std::pair<std::string, Place>>({bytes.data(), bytes.size()}, view);
    std::vector<std::optional<std::vector<std::string_view>>> deep;
    DecodeRecord<std::vector<std::optional<std::vector<std::string>>>>(
        {bytes.data(), bytes.size()}, deep);
  }
}

TEST(Codec, NamesSayTheType) {
  using T = std::pair<std::string, std::vector<std::optional<int32_t>>>;
  EXPECT_EQ(RecordName<T>(), "(text,[optional int32])");
  EXPECT_EQ(RecordName<Place>(), "{text,optional float64,[text]}");
  EXPECT_EQ(RecordName<Money>(), "codec test.Money v1");
  EXPECT_EQ(RecordName<FakeMessage>(), "protobuf test.FakeMessage");
  EXPECT_EQ(RecordName<Color>(), "enum uint8");
}

// ---- keys ---------------------------------------------------------------------------------

template <class K>
std::string KeyOf(const K& key) {
  std::string bytes;
  EncodeKey<K>(key, bytes);
  return bytes;
}

TEST(Keys, EqualKeysHaveEqualBytes) {
  EXPECT_EQ(KeyOf(-0.0), KeyOf(0.0));
  EXPECT_EQ(KeyOf(std::nan("1")), KeyOf(-std::numeric_limits<double>::quiet_NaN()));
  EXPECT_EQ(KeyOf(std::pair{-0.0f, std::string("x")}), KeyOf(std::pair{0.0f, std::string("x")}));
  std::string stored;
  EncodeRecord<double>(-0.0, stored);
  EXPECT_NE(stored, KeyOf(-0.0)) << "values keep their sign";
}

TEST(Keys, AKeyFieldReadsBackAsItsCanonicalBytes) {
  const std::pair<std::string, Money> key("name", Money(5));
  std::string record;
  PutKeyField<std::pair<std::string, Money>>(KeyOf(key), record);
  PutKeyField<std::string>("text", record);
  internal::ByteReader in{record.data(), record.data() + record.size()};
  std::string_view canonical;
  ASSERT_TRUE((TakeKeyField<std::pair<std::string, Money>>(in, canonical)));
  EXPECT_EQ(canonical, KeyOf(key));
  ASSERT_TRUE(TakeKeyField<std::string>(in, canonical));
  EXPECT_EQ(canonical, "text");
  EXPECT_EQ(in.left(), 0u);
}

TEST(Keys, TheHashIsFixedForEver) {
  // A checkpoint's partitions depend on these values.
  EXPECT_EQ(kKeyHashName, "fold64-2");
  EXPECT_EQ(KeyHash(""), 0xd8a8a31317d33df5u);
  EXPECT_EQ(KeyHash("word"), 0x6be656b367f55cb5u);
  EXPECT_EQ(KeyHash("exactly 15 byte"), 0x2fa68b8c5eb0883au);
  EXPECT_EQ(KeyHash("now 16 bytes lng"), 0xb13caf7d2bb5033bu);
  EXPECT_EQ(KeyHash(std::string(1000, 'x')), 0xcb09fc96101e5d80u);
}

// A word that meets the state of the hash makes a factor zero.
TEST(Keys, ThoseThatBeginWithAConstantOfTheHashDoNotAllCollide) {
  const auto distinct = [](const std::function<std::string(int)>& key) {
    std::set<uint64_t> hashes;
    for (int i = 0; i < 10'000; ++i) hashes.insert(KeyHash(key(i)));
    return hashes.size();
  };
  const auto bytes = [](uint64_t word) {
    return std::string(reinterpret_cast<const char*>(&word), sizeof(word));
  };
  const std::string first = bytes(internal::kHashA);
  EXPECT_EQ(distinct([&](int i) { return first + std::to_string(100'000 + i); }), 10'000u);
  const uint64_t state =
      internal::kHashA ^ internal::Fold64(uint64_t{24} ^ internal::kHashC, internal::kHashB);
  EXPECT_EQ(distinct([&](int i) { return bytes(state) + bytes(i) + "12345678"; }), 10'000u);
  EXPECT_EQ(distinct([&](int i) { return bytes(i) + bytes(internal::kHashB) + "12345678"; }),
            10'000u);
}

TEST(Keys, TopBitsAreEven) {
  constexpr int kKeys = 100'000, kGroups = 1024;
  for (const int kind : {0, 1, 2}) {
    std::vector<int> counts(kGroups);
    for (int i = 0; i < kKeys; ++i) {
      std::string key = std::to_string(i);
      if (kind == 1) key.assign(reinterpret_cast<const char*>(&i), 4).append(4, '\0');
      if (kind == 2) key = "a rather longer common prefix of keys " + key;
      ++counts[KeyHash(key) >> 54];
    }
    double chi_squared = 0;
    for (const int count : counts) {
      const double expected = double{kKeys} / kGroups;
      chi_squared += (count - expected) * (count - expected) / expected;
    }
    EXPECT_LT(chi_squared, 1023 + 5 * std::sqrt(2 * 1023)) << kind;
  }
}

TEST(Keys, FastAndCarefulLoadsAgree) {
  std::string text(8192, 'q');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31);
  for (size_t at = 0; at + 16 < text.size(); at += 7) {
    for (size_t size = 0; size <= internal::kShortKeyMax; ++size) {
      EXPECT_EQ(internal::LoadShortKey(text.data() + at, size),
                internal::LoadShortKeyCarefully(text.data() + at, size));
    }
  }
}

// ---- text ---------------------------------------------------------------------------------

template <class R>
std::string TextOf(const R& row) {
  std::string text;
  AppendText(row, text);
  return text;
}

TEST(Text, EveryKind) {
  EXPECT_EQ(TextOf(std::string("as it is")), "as it is");
  EXPECT_EQ(TextOf(int64_t{-42}), "-42");
  EXPECT_EQ(TextOf(uint8_t{200}), "200");
  EXPECT_EQ(TextOf(0.1), "0.1");
  EXPECT_EQ(TextOf(0.1f), "0.1");
  EXPECT_EQ(TextOf(3.0), "3");
  EXPECT_EQ(TextOf(true), "true");
  EXPECT_EQ(TextOf(Color::kBlue), "2");
  EXPECT_EQ(TextOf(std::pair<std::string_view, int>("a", 1)), "(a,1)");
  EXPECT_EQ(TextOf(std::tuple(1, std::string("b"), 2.5)), "(1,b,2.5)");
  EXPECT_EQ(TextOf(std::vector<std::string_view>{"a", "b"}), "[a,b]");
  EXPECT_EQ(TextOf(std::vector<int>{}), "[]");
  EXPECT_EQ(TextOf(std::array<int, 2>{1, 2}), "[1,2]");
  EXPECT_EQ(TextOf(std::optional<std::string_view>("x")), "Some(x)");
  EXPECT_EQ(TextOf(std::optional<int>()), "None");
  EXPECT_EQ(TextOf(Place{"hill", 1.5, {"t"}}), "(hill,Some(1.5),[t])");
  EXPECT_EQ(TextOf(Money(3)), "3c");
  EXPECT_EQ(TextOf(FakeMessage("m")), "text: \"m\"");
}

}  // namespace
}  // namespace sluice
