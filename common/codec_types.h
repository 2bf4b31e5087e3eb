// Records: which types may be stored, moved and kept as state, and how they are written as bytes.
//
// A record type owns what it holds. A *row* is what flows inside a fused chain: a record, or the
// same shape with std::string_view in place of std::string. Own<Row> is the record it is stored
// as; View<Record> is the row as which it is read back.
//
// Bytes: numbers and enums little-endian in their own width; text as varint length and bytes;
// pair, tuple, array and aggregate field by field; vector as varint count and elements; optional
// as one byte and the value. At top level text (also a Protobuf message, or a user's Codec) is the
// bare bytes, since a batch knows where each record ends. Decoding checks every bound.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/byte_reader.h"
#include "common/codec_fields.h"

namespace sluice {

static_assert(std::endian::native == std::endian::little);

// Specialise this for a type of your own that is no aggregate:
//   static constexpr std::string_view kName = "geo.Point v1";       // changes when the bytes do
//   static void Encode(const T& value, std::string& out);            // appends; equal values give
//   static bool Decode(std::string_view bytes, T& value);            //   equal bytes; into a T{}
//   static void AppendText(const T& value, std::string& out);        // optional: for text output
template <class T>
struct Codec;

template <class T>
concept UserCodec = requires(const T& in, T& value, std::string& out, std::string_view bytes) {
  { Codec<T>::Encode(in, out) };
  { Codec<T>::Decode(bytes, value) } -> std::convertible_to<bool>;
  { Codec<T>::kName } -> std::convertible_to<std::string_view>;
};

// A Protobuf message, known by its members so that no Protobuf header is needed here.
template <class T>
concept ProtobufMessage = std::is_class_v<T> && !UserCodec<T> &&
    requires(const T& in, T& value, std::string* out, const void* data, int size) {
      { in.SerializeToString(out) } -> std::same_as<bool>;
      { in.AppendToString(out) } -> std::same_as<bool>;
      { value.ParseFromArray(data, size) } -> std::same_as<bool>;
      { in.GetTypeName() } -> std::convertible_to<std::string>;
      { in.ShortDebugString() } -> std::convertible_to<std::string>;
    };

namespace internal {

// For a record type T:
//   View                         the row as which it is read back
//   kFixedSize                   bytes of every encoding, or 0
//   kIsKey                       equal values have equal canonical bytes
//   Put<canonical>(row, out)     appends the nested encoding of a row of this shape
//   Take(reader, view)           reads it back
//   Write<canonical>(row, at)    where kFixedSize is not 0: the same bytes, at `at`
//   Read(at, view)               where kFixedSize is not 0: Take, of bytes that are there
//   kSameBytes                   may be left out: the encoding is the value's memory
//   AppendName(out)              the type in words, part of the fingerprint
// For a type whose nested encoding is length and bytes, kDelimited holds, and PutBare and TakeBare
// leave the length out.
template <class T>
struct RecordCodec {};

}  // namespace internal

// A type that can be a record: a closed set.
template <class T>
concept Record = std::same_as<T, std::remove_cvref_t<T>> &&
    requires { typename internal::RecordCodec<T>::View; };

// A record with a canonical encoding: may be the key of a shuffle or of state.
template <class T>
concept KeyRecord = Record<T> && internal::RecordCodec<T>::kIsKey;

template <Record T>
using View = typename internal::RecordCodec<T>::View;

namespace internal {

template <class T>
concept Number = (std::is_arithmetic_v<T> && !std::same_as<T, long double>) || std::is_enum_v<T>;

template <class T>
constexpr std::string_view NumberName() {
  if constexpr (std::is_enum_v<T>) return NumberName<std::underlying_type_t<T>>();
  if constexpr (std::same_as<T, bool>) return "bool";
  if constexpr (std::same_as<T, char>) return "char";
  constexpr std::string_view names[3][4] = {{"uint8", "uint16", "uint32", "uint64"},
                                            {"int8", "int16", "int32", "int64"},
                                            {"", "", "float32", "float64"}};
  return names[std::is_floating_point_v<T> ? 2 : std::is_signed_v<T>][std::countr_zero(sizeof(T))];
}

template <class C, class View>
bool TakeFixed(ByteReader& in, View& view) {
  if (in.left() < C::kFixedSize) return false;
  const char* at = in.at;
  in.at += C::kFixedSize;
  return C::Read(at, view);
}

// A fixed encoding up to this size is put together in registers and appended in one piece.
inline constexpr uint32_t kOnePieceMax = 1024;
template <class C>
inline constexpr bool kInOnePiece = C::kFixedSize != 0 && C::kFixedSize <= kOnePieceMax;

// Records of type T that lie one behind the other are encoded, and read back, by one copy.
template <class T>
inline constexpr bool kSameBytes = requires { requires RecordCodec<T>::kSameBytes; };

template <Number T>
struct RecordCodec<T> {
  using View = T;
  static constexpr bool kSameBytes = !std::same_as<T, bool>;  // not every byte is a bool
  static constexpr uint32_t kFixedSize = sizeof(T);
  static constexpr bool kIsKey = true;
  static constexpr bool kDelimited = false;

  // -0.0 becomes +0.0 and every NaN the same one.
  static T Canonical(T value) {
    if constexpr (std::is_floating_point_v<T>) {
      if (value != value) return std::bit_cast<T>(kNan);
      if (value == T{0}) return T{0};
    }
    return value;
  }
  template <bool canonical>
  static void Write(T value, char* at) {
    if constexpr (canonical) value = Canonical(value);
    std::memcpy(at, &value, sizeof(T));
  }
  template <bool canonical>
  static void Put(T value, std::string& out) {
    char bytes[sizeof(T)];
    Write<canonical>(value, bytes);
    out.append(bytes, sizeof(T));
  }
  static bool Read(const char* at, T& value) {
    if constexpr (std::same_as<T, bool>) {
      const auto byte = static_cast<unsigned char>(*at);
      value = byte != 0;
      return byte <= 1;
    } else {
      std::memcpy(&value, at, sizeof(T));
      return true;
    }
  }
  static bool Take(ByteReader& in, T& value) { return TakeFixed<RecordCodec>(in, value); }
  static void AppendName(std::string& out) {
    out += std::is_enum_v<T> ? "enum " : "";
    out += NumberName<T>();
  }

 private:
  static constexpr auto kNan = [] {
    if constexpr (sizeof(T) == 4) return uint32_t{0x7fc00000};
    else return uint64_t{0x7ff8000000000000};
  }();
};

template <>
struct RecordCodec<std::string> {
  using View = std::string_view;
  static constexpr uint32_t kFixedSize = 0;
  static constexpr bool kIsKey = true;
  static constexpr bool kDelimited = true;
  static void PutBare(std::string_view text, std::string& out) { out.append(text); }
  static bool TakeBare(std::string_view bytes, std::string_view& text) {
    text = bytes;
    return true;
  }
  template <bool canonical>
  static void Put(std::string_view text, std::string& out) {
    PutDelimited(text, out);
  }
  static bool Take(ByteReader& in, std::string_view& text) { return in.TakeDelimited(text); }
  static void AppendName(std::string& out) { out += "text"; }
};

template <class... Ts>
constexpr uint32_t FixedSizeOf() {
  return ((RecordCodec<Ts>::kFixedSize != 0) && ...) ? (RecordCodec<Ts>::kFixedSize + ...) : 0;
}

// Writes fields one after another; shared by pairs, tuples and aggregates.
template <Record... Ts>
struct FieldsCodec {
  // Where fields lie in this order and T is no larger than they are, nothing is between them.
  template <class T>
  static constexpr bool kFill =
      (internal::kSameBytes<Ts> && ...) && sizeof(T) == FixedSizeOf<Ts...>();
  static constexpr uint32_t kFixedSize = FixedSizeOf<Ts...>();
  static constexpr bool kIsKey = (RecordCodec<Ts>::kIsKey && ...);
  static constexpr bool kDelimited = false;
  template <bool canonical, class... Rows>
  static void WriteFields(char* at, const Rows&... rows) {
    ((RecordCodec<Ts>::template Write<canonical>(rows, at), at += RecordCodec<Ts>::kFixedSize),
     ...);
  }
  template <bool canonical, class... Rows>
  static void PutFields(std::string& out, const Rows&... rows) {
    if constexpr (kInOnePiece<FieldsCodec>) {
      char bytes[kFixedSize];
      WriteFields<canonical>(bytes, rows...);
      out.append(bytes, kFixedSize);
    } else {
      (RecordCodec<Ts>::template Put<canonical>(rows, out), ...);
    }
  }
  template <class... Views>
  static bool ReadFields(const char* at, Views&... views) {
    return ((at += RecordCodec<Ts>::kFixedSize,
             RecordCodec<Ts>::Read(at - RecordCodec<Ts>::kFixedSize, views)) && ...);
  }
  template <class... Views>
  static bool TakeFields(ByteReader& in, Views&... views) {
    if constexpr (kFixedSize != 0) {
      if (in.left() < kFixedSize) return false;
      in.at += kFixedSize;
      return ReadFields(in.at - kFixedSize, views...);
    } else {
      return (RecordCodec<Ts>::Take(in, views) && ...);
    }
  }
  static void AppendNames(std::string_view open, std::string_view close, std::string& out) {
    std::string_view before = open;
    ((out += before, RecordCodec<Ts>::AppendName(out), before = ","), ...);
    out += close;
  }
};

template <Record A, Record B>
struct RecordCodec<std::pair<A, B>> : FieldsCodec<A, B> {
  using View = std::pair<sluice::View<A>, sluice::View<B>>;
  static constexpr bool kSameBytes = FieldsCodec<A, B>::template kFill<std::pair<A, B>>;
  template <bool canonical, class Row>
  static void Put(const Row& row, std::string& out) {
    FieldsCodec<A, B>::template PutFields<canonical>(out, row.first, row.second);
  }
  template <bool canonical, class Row>
  static void Write(const Row& row, char* at) {
    FieldsCodec<A, B>::template WriteFields<canonical>(at, row.first, row.second);
  }
  static bool Take(ByteReader& in, View& view) {
    return FieldsCodec<A, B>::TakeFields(in, view.first, view.second);
  }
  static bool Read(const char* at, View& view) {
    return FieldsCodec<A, B>::ReadFields(at, view.first, view.second);
  }
  static void AppendName(std::string& out) { FieldsCodec<A, B>::AppendNames("(", ")", out); }
};

template <Record T, Record... Ts>
struct RecordCodec<std::tuple<T, Ts...>> : FieldsCodec<T, Ts...> {
  using Fields = FieldsCodec<T, Ts...>;
  using View = std::tuple<sluice::View<T>, sluice::View<Ts>...>;
  template <bool canonical, class Row>
  static void Put(const Row& row, std::string& out) {
    std::apply([&](const auto&... field) { Fields::template PutFields<canonical>(out, field...); },
               row);
  }
  template <bool canonical, class Row>
  static void Write(const Row& row, char* at) {
    std::apply([&](const auto&... field) { Fields::template WriteFields<canonical>(at, field...); },
               row);
  }
  static bool Take(ByteReader& in, View& view) {
    return std::apply([&](auto&... field) { return Fields::TakeFields(in, field...); }, view);
  }
  static bool Read(const char* at, View& view) {
    return std::apply([&](auto&... field) { return Fields::ReadFields(at, field...); }, view);
  }
  static void AppendName(std::string& out) { Fields::AppendNames("(", ")", out); }
};

template <Record T>
struct RecordCodec<std::optional<T>> {
  using View = std::optional<sluice::View<T>>;
  static constexpr uint32_t kFixedSize = 0;
  static constexpr bool kIsKey = RecordCodec<T>::kIsKey;
  static constexpr bool kDelimited = false;
  template <bool canonical, class Row>
  static void Put(const Row& row, std::string& out) {
    out.push_back(row.has_value() ? 1 : 0);
    if (row.has_value()) RecordCodec<T>::template Put<canonical>(*row, out);
  }
  static bool Take(ByteReader& in, View& view) {
    unsigned char present;
    if (!in.Take(&present, 1) || present > 1) return false;
    if (present == 0) {
      view.reset();
      return true;
    }
    return RecordCodec<T>::Take(in, view.emplace());
  }
  static void AppendName(std::string& out) {
    out += "optional ";
    RecordCodec<T>::AppendName(out);
  }
};

template <Record T>
struct RecordCodec<std::vector<T>> {
  using View = std::vector<sluice::View<T>>;
  static constexpr uint32_t kFixedSize = 0;
  static constexpr bool kIsKey = RecordCodec<T>::kIsKey;
  static constexpr bool kDelimited = false;
  template <bool canonical, class Row>
  static void Put(const Row& row, std::string& out) {
    PutVarint(row.size(), out);
    for (const auto& element : row) RecordCodec<T>::template Put<canonical>(element, out);
  }
  // Every element has at least one byte, so a false count cannot ask for much memory.
  static bool Take(ByteReader& in, View& view) {
    uint64_t count;
    if (!in.TakeVarint(count) || count > in.left()) return false;
    if constexpr (kSameBytes<T> && std::is_trivially_copyable_v<T>) {
      if (count > in.left() / sizeof(T)) return false;
      view.resize(static_cast<size_t>(count));
      if (count != 0) std::memcpy(view.data(), in.at, count * sizeof(T));
      in.at += count * sizeof(T);
      return true;
    }
    view.clear();
    view.reserve(static_cast<size_t>(count));
    for (uint64_t i = 0; i < count; ++i) {
      sluice::View<T> element{};
      if (!RecordCodec<T>::Take(in, element)) return false;
      view.push_back(std::move(element));
    }
    return true;
  }
  static void AppendName(std::string& out) {
    out += "[";
    RecordCodec<T>::AppendName(out);
    out += "]";
  }
};

template <Record T, size_t n>
  requires(n > 0)
struct RecordCodec<std::array<T, n>> {
  using View = std::array<sluice::View<T>, n>;
  static constexpr bool kSameBytes = internal::kSameBytes<T>;
  static constexpr uint32_t kFixedSize = RecordCodec<T>::kFixedSize * uint32_t{n};
  static constexpr bool kIsKey = RecordCodec<T>::kIsKey;
  static constexpr bool kDelimited = false;
  template <bool canonical, class Row>
  static void Write(const Row& row, char* at) {
    if constexpr (Number<T> && !(canonical && std::is_floating_point_v<T>)) {
      std::memcpy(at, row.data(), kFixedSize);
    } else {
      for (const auto& element : row) {
        RecordCodec<T>::template Write<canonical>(element, at);
        at += RecordCodec<T>::kFixedSize;
      }
    }
  }
  template <bool canonical, class Row>
  static void Put(const Row& row, std::string& out) {
    if constexpr (kInOnePiece<RecordCodec>) {
      char bytes[kFixedSize];
      Write<canonical>(row, bytes);
      out.append(bytes, kFixedSize);
    } else {
      for (const auto& element : row) RecordCodec<T>::template Put<canonical>(element, out);
    }
  }
  static bool Read(const char* at, View& view) {
    if constexpr (Number<T> && !std::same_as<T, bool>) {
      std::memcpy(view.data(), at, kFixedSize);
    } else {
      for (auto& element : view) {
        if (!RecordCodec<T>::Read(at, element)) return false;
        at += RecordCodec<T>::kFixedSize;
      }
    }
    return true;
  }
  static bool Take(ByteReader& in, View& view) {
    if constexpr (kFixedSize != 0) {
      return TakeFixed<RecordCodec>(in, view);
    } else {
      for (auto& element : view) {
        if (!RecordCodec<T>::Take(in, element)) return false;
      }
      return true;
    }
  }
  static void AppendName(std::string& out) {
    out += "[";
    RecordCodec<T>::AppendName(out);
    out += " x " + std::to_string(n) + "]";
  }
};

}  // namespace internal

}  // namespace sluice

#include "common/codec_structs.h"
