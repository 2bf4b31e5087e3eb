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

template <Number T>
struct RecordCodec<T> {
  using View = T;
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
  static void Put(T value, std::string& out) {
    if constexpr (canonical) value = Canonical(value);
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out.append(bytes, sizeof(T));
  }
  static bool Take(ByteReader& in, T& value) {
    if constexpr (std::same_as<T, bool>) {
      unsigned char byte;
      if (!in.Take(&byte, 1) || byte > 1) return false;
      value = byte != 0;
      return true;
    } else {
      return in.Take(&value, sizeof(T));
    }
  }
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
  static constexpr uint32_t kFixedSize = FixedSizeOf<Ts...>();
  static constexpr bool kIsKey = (RecordCodec<Ts>::kIsKey && ...);
  static constexpr bool kDelimited = false;
  template <bool canonical, class... Rows>
  static void PutFields(std::string& out, const Rows&... rows) {
    (RecordCodec<Ts>::template Put<canonical>(rows, out), ...);
  }
  template <class... Views>
  static bool TakeFields(ByteReader& in, Views&... views) {
    return (RecordCodec<Ts>::Take(in, views) && ...);
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
  template <bool canonical, class Row>
  static void Put(const Row& row, std::string& out) {
    FieldsCodec<A, B>::template PutFields<canonical>(out, row.first, row.second);
  }
  static bool Take(ByteReader& in, View& view) {
    return FieldsCodec<A, B>::TakeFields(in, view.first, view.second);
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
  static bool Take(ByteReader& in, View& view) {
    return std::apply([&](auto&... field) { return Fields::TakeFields(in, field...); }, view);
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
  static constexpr uint32_t kFixedSize = RecordCodec<T>::kFixedSize * uint32_t{n};
  static constexpr bool kIsKey = RecordCodec<T>::kIsKey;
  static constexpr bool kDelimited = false;
  template <bool canonical, class Row>
  static void Put(const Row& row, std::string& out) {
    for (const auto& element : row) RecordCodec<T>::template Put<canonical>(element, out);
  }
  static bool Take(ByteReader& in, View& view) {
    for (auto& element : view) {
      if (!RecordCodec<T>::Take(in, element)) return false;
    }
    return true;
  }
  static void AppendName(std::string& out) {
    out += "[";
    RecordCodec<T>::AppendName(out);
    out += " x " + std::to_string(n) + "]";
  }
};

// A struct: read back as itself, so its text fields are owned.
template <class FieldTypes>
struct StructCodec {};
template <class... Declared>
  requires((Record<Declared> && ...) && sizeof...(Declared) > 0)
struct StructCodec<FieldTuple<Declared...>> : FieldsCodec<Declared...> {
  using Fields = FieldsCodec<Declared...>;
  template <bool canonical>
  static void PutTuple(const std::tuple<const Declared&...>& fields, std::string& out) {
    std::apply([&](const auto&... f) { Fields::template PutFields<canonical>(out, f...); }, fields);
  }
  static bool TakeTuple(ByteReader& in, const std::tuple<Declared&...>& fields) {
    return std::apply([&](auto&... f) { return (TakeField<Declared>(in, f) && ...); }, fields);
  }
  static constexpr bool kIsStruct = true;

 private:
  template <class T>
  static bool TakeField(ByteReader& in, T& field);
};

template <class T>
concept Aggregate = std::is_class_v<T> && std::is_aggregate_v<T> && !UserCodec<T>;
template <class T>
using StructCodecOf = StructCodec<decltype(FieldsOf(std::declval<T&>()))>;

template <Aggregate T>
  requires(FieldCount<T>() > 0 && FieldCount<T>() <= kFieldsMax &&
           requires { StructCodecOf<T>::kIsStruct; })
struct RecordCodec<T> : StructCodecOf<T> {
  using View = T;
  template <bool canonical>
  static void Put(const T& row, std::string& out) {
    StructCodecOf<T>::template PutTuple<canonical>(FieldsOf(const_cast<T&>(row)), out);
  }
  static bool Take(ByteReader& in, T& view) {
    return StructCodecOf<T>::TakeTuple(in, FieldsOf(view));
  }
  static void AppendName(std::string& out) { StructCodecOf<T>::AppendNames("{", "}", out); }
};

template <UserCodec T>
struct RecordCodec<T> {
  using View = T;
  static constexpr uint32_t kFixedSize = 0;
  static constexpr bool kIsKey = true;
  static constexpr bool kDelimited = true;
  static void PutBare(const T& row, std::string& out) { Codec<T>::Encode(row, out); }
  static bool TakeBare(std::string_view bytes, T& view) {
    view = T{};
    return Codec<T>::Decode(bytes, view);
  }
  template <bool canonical>
  static void Put(const T& row, std::string& out) {
    std::string bytes;
    PutBare(row, bytes);
    PutDelimited(bytes, out);
  }
  static bool Take(ByteReader& in, T& view) {
    std::string_view bytes;
    return in.TakeDelimited(bytes) && TakeBare(bytes, view);
  }
  static void AppendName(std::string& out) {
    out += "codec ";
    out += Codec<T>::kName;
  }
};

template <ProtobufMessage T>
struct RecordCodec<T> {
  using View = T;
  static constexpr uint32_t kFixedSize = 0;
  static constexpr bool kIsKey = false;  // equal messages need not have equal bytes
  static constexpr bool kDelimited = true;
  static void PutBare(const T& row, std::string& out) { row.AppendToString(&out); }
  static bool TakeBare(std::string_view bytes, T& view) {
    return bytes.size() <= INT32_MAX &&
           view.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  }
  template <bool canonical>
  static void Put(const T& row, std::string& out) {
    std::string bytes;
    PutBare(row, bytes);
    PutDelimited(bytes, out);
  }
  static bool Take(ByteReader& in, T& view) {
    std::string_view bytes;
    return in.TakeDelimited(bytes) && TakeBare(bytes, view);
  }
  static void AppendName(std::string& out) { out += "protobuf " + std::string(T().GetTypeName()); }
};

}  // namespace internal

}  // namespace sluice
