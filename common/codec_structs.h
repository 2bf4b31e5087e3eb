// How structs, types with a Codec of their own and Protobuf messages are written. Included by
// codec_types.h, which says what a RecordCodec has.
#pragma once

#include "common/codec_types.h"

namespace sluice::internal {

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
  template <bool canonical>
  static void WriteTuple(const std::tuple<const Declared&...>& fields, char* at) {
    std::apply([&](const auto&... f) { Fields::template WriteFields<canonical>(at, f...); },
               fields);
  }
  static bool TakeTuple(ByteReader& in, const std::tuple<Declared&...>& fields) {
    if constexpr (Fields::kFixedSize != 0) {
      return std::apply([&](auto&... f) { return Fields::TakeFields(in, f...); }, fields);
    } else {
      return std::apply([&](auto&... f) { return (TakeField<Declared>(in, f) && ...); }, fields);
    }
  }
  static bool ReadTuple(const char* at, const std::tuple<Declared&...>& fields) {
    return std::apply([&](auto&... f) { return Fields::ReadFields(at, f...); }, fields);
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
  static constexpr bool kSameBytes = StructCodecOf<T>::template kFill<T>;
  template <bool canonical>
  static void Put(const T& row, std::string& out) {
    StructCodecOf<T>::template PutTuple<canonical>(FieldsOf(const_cast<T&>(row)), out);
  }
  template <bool canonical>
  static void Write(const T& row, char* at) {
    StructCodecOf<T>::template WriteTuple<canonical>(FieldsOf(const_cast<T&>(row)), at);
  }
  static bool Take(ByteReader& in, T& view) {
    return StructCodecOf<T>::TakeTuple(in, FieldsOf(view));
  }
  static bool Read(const char* at, T& view) {
    return StructCodecOf<T>::ReadTuple(at, FieldsOf(view));
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

}  // namespace sluice::internal
