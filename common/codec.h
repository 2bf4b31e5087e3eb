// Records as bytes: whole ones, keys, and keys as fields of a record. What a record is, and how
// each type is written, is in codec_types.h.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/codec_types.h"

namespace sluice {

template <Record T>
inline constexpr uint32_t kFixedSize = internal::RecordCodec<T>::kFixedSize;

// Appends the encoding of a top-level record to `out`.
template <Record T, class Row>
void EncodeRecord(const Row& row, std::string& out) {
  using C = internal::RecordCodec<T>;
  if constexpr (C::kDelimited) C::PutBare(row, out);
  else C::template Put<false>(row, out);
}

// False when `bytes` are not exactly one record. The view borrows from `bytes`.
template <Record T>
bool DecodeRecord(std::string_view bytes, View<T>& view) {
  using C = internal::RecordCodec<T>;
  if constexpr (C::kDelimited) {
    return C::TakeBare(bytes, view);
  } else {
    internal::ByteReader in{bytes.data(), bytes.data() + bytes.size()};
    return C::Take(in, view) && in.at == in.end;
  }
}

// Appends the canonical bytes of a key: equal keys, and only they, have equal bytes.
template <KeyRecord K, class Row>
void EncodeKey(const Row& key, std::string& out) {
  using C = internal::RecordCodec<K>;
  if constexpr (C::kDelimited) C::PutBare(key, out);
  else C::template Put<true>(key, out);
}

// The canonical bytes of a key; text is not copied.
template <KeyRecord K, class Row>
std::string_view KeyBytes(const Row& key, std::string& scratch) {
  if constexpr (std::same_as<K, std::string>) {
    return key;
  } else if constexpr (internal::kInOnePiece<internal::RecordCodec<K>>) {
    constexpr uint32_t kSize = kFixedSize<K>;
    if (scratch.size() < kSize) scratch.resize(kSize);
    internal::RecordCodec<K>::template Write<true>(key, scratch.data());
    return {scratch.data(), kSize};
  } else {
    scratch.clear();
    EncodeKey<K>(key, scratch);
    return scratch;
  }
}

// Reads a key field that PutKeyField wrote, as canonical bytes.
template <KeyRecord K>
bool TakeKeyField(internal::ByteReader& in, std::string_view& canonical) {
  if constexpr (internal::RecordCodec<K>::kDelimited) {
    return in.TakeDelimited(canonical);
  } else if constexpr (kFixedSize<K> != 0) {
    if (in.left() < kFixedSize<K>) return false;
    canonical = {in.at, kFixedSize<K>};
    in.at += kFixedSize<K>;
    return true;
  } else {
    const char* begin = in.at;
    View<K> key{};
    if (!internal::RecordCodec<K>::Take(in, key)) return false;
    canonical = {begin, static_cast<size_t>(in.at - begin)};
    return true;
  }
}

// Appends a key, given by its canonical bytes, as the field of a record.
template <KeyRecord K>
void PutKeyField(std::string_view canonical, std::string& out) {
  if constexpr (internal::RecordCodec<K>::kDelimited) internal::PutDelimited(canonical, out);
  else out.append(canonical);
}

// The type in words: "(text,int64)".
template <Record T>
std::string RecordName() {
  std::string name;
  internal::RecordCodec<T>::AppendName(name);
  return name;
}

}  // namespace sluice

#include "common/codec_own.h"

namespace sluice::internal {

template <class... Declared>
  requires((Record<Declared> && ...) && sizeof...(Declared) > 0)
template <class T>
bool StructCodec<FieldTuple<Declared...>>::TakeField(ByteReader& in, T& field) {
  if constexpr (std::same_as<View<T>, T>) {
    return RecordCodec<T>::Take(in, field);
  } else {
    View<T> view{};
    if (!RecordCodec<T>::Take(in, view)) return false;
    AssignOwned(field, view);
    return true;
  }
}

}  // namespace sluice::internal
