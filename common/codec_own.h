// From rows to the records as which they are stored. Included by codec.h.
#pragma once

#include "common/codec.h"

namespace sluice {
namespace internal {

template <class Row>
struct OwnOf {
  using type = Row;
};
template <>
struct OwnOf<std::string_view> {
  using type = std::string;
};
// What a row may not hold is kept as it is, and so is no record.
template <class Row>
using OwnField = typename OwnOf<std::conditional_t<std::is_reference_v<Row>, Row,
                                                   std::remove_const_t<Row>>>::type;
template <class A, class B>
struct OwnOf<std::pair<A, B>> {
  using type = std::pair<OwnField<A>, OwnField<B>>;
};
template <class... Ts>
struct OwnOf<std::tuple<Ts...>> {
  using type = std::tuple<OwnField<Ts>...>;
};
template <class T>
struct OwnOf<std::optional<T>> {
  using type = std::optional<OwnField<T>>;
};
template <class T>
struct OwnOf<std::vector<T>> {
  using type = std::vector<OwnField<T>>;
};
template <class T, size_t n>
struct OwnOf<std::array<T, n>> {
  using type = std::array<OwnField<T>, n>;
};

}  // namespace internal

// The record type as which a row is stored.
template <class Row>
using Own = typename internal::OwnOf<std::remove_cvref_t<Row>>::type;

// What may flow in a chain.
template <class R>
concept Row = Record<Own<R>>;

namespace internal {

// Makes `record` the owned form of `row`, reusing its memory.
template <class T, class R>
void AssignOwned(T& record, const R& row);

template <class T, class R, size_t... i>
void AssignFields(T& record, const R& row, std::index_sequence<i...>) {
  (AssignOwned(std::get<i>(record), std::get<i>(row)), ...);
}
template <class T, class R>
void AssignElements(std::vector<T>& record, const R& row) {
  record.resize(row.size());
  for (size_t i = 0; i < row.size(); ++i) AssignOwned(record[i], row[i]);
}

template <class>
inline constexpr int kShape = 0;
template <class A, class B>
inline constexpr int kShape<std::pair<A, B>> = 1;
template <class... Ts>
inline constexpr int kShape<std::tuple<Ts...>> = 1;
template <class T, size_t n>
inline constexpr int kShape<std::array<T, n>> = 1;
template <class T>
inline constexpr int kShape<std::optional<T>> = 2;
template <class T>
inline constexpr int kShape<std::vector<T>> = 3;

template <class T, class R>
void AssignOwned(T& record, const R& row) {
  if constexpr (std::same_as<T, R> || kShape<T> == 0) {
    record = row;
  } else if constexpr (kShape<T> == 1) {
    AssignFields(record, row, std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (kShape<T> == 2) {
    if (!row.has_value()) return record.reset();
    if (!record.has_value()) record.emplace();
    AssignOwned(*record, *row);
  } else {
    AssignElements(record, row);
  }
}

template <class R>
Own<R> ToOwned(const R& row) {
  if constexpr (std::same_as<Own<R>, R>) {
    return row;
  } else if constexpr (std::same_as<R, std::string_view>) {
    return std::string(row);
  } else {
    Own<R> record{};
    AssignOwned(record, row);
    return record;
  }
}

}  // namespace internal
}  // namespace sluice
