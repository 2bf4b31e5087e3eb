// Looks into an aggregate: how many fields it has, of what types, and references to them. Serves
// structs of up to 16 fields without a macro or registration.
#pragma once

#include <concepts>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

namespace sluice::internal {

inline constexpr size_t kFieldsMax = 16;

struct AnyField {
  template <class U>
  operator U() const noexcept {  // never called: only its type is used
    __builtin_trap();
  }
};
template <size_t>
using AnyFieldAt = AnyField;

template <class T, class Indexes>
inline constexpr bool kBracesFit = false;
template <class T, size_t... i>
  requires requires { T{AnyFieldAt<i>{}...}; }
inline constexpr bool kBracesFit<T, std::index_sequence<i...>> = true;

// How many values between braces an aggregate takes; more than kFieldsMax when too many. The
// elements of a C array count one by one.
template <class T, size_t n = kFieldsMax + 1>
constexpr size_t BracedCount() {
  if constexpr (n == 0) {
    return 0;
  } else if constexpr (kBracesFit<T, std::make_index_sequence<n>>) {
    return n;
  } else {
    return BracedCount<T, n - 1>();
  }
}

struct NoField {};
template <class T>
struct AnyBaseOf {
  template <class U>
    requires(std::is_base_of_v<U, T> && !std::same_as<U, T>)
  operator U() const noexcept {  // never called
    __builtin_trap();
  }
};
template <class T>
inline constexpr bool kHasBase = requires { T{AnyBaseOf<T>{}}; } && !requires { T{NoField{}}; };

template <class T, class Before, class Behind>
inline constexpr bool kTwoFit = false;
template <class T, size_t... i, size_t... j>
  requires requires { T{AnyFieldAt<i>{}..., {AnyField{}, AnyField{}}, AnyFieldAt<j>{}...}; }
inline constexpr bool kTwoFit<T, std::index_sequence<i...>, std::index_sequence<j...>> = true;

// Whether one of the fields of an aggregate from the one at `at` on is a C array: it alone takes
// more than one of the values of `n` where it is not in braces of its own.
template <class T, size_t n, size_t at = 0>
constexpr bool HoldsArray() {
  if constexpr (at + 1 >= n || requires { std::tuple_size<T>::value; }) {
    return false;
  } else {
    using Before = std::make_index_sequence<at>;
    if constexpr (kTwoFit<T, Before, std::index_sequence<>> &&
                  !kTwoFit<T, Before, std::make_index_sequence<n - at - 1>>) {
      return true;
    } else {
      return HoldsArray<T, n, at + 1>();
    }
  }
}

// The number of fields of an aggregate; more than kFieldsMax when it has too many.
template <class T>
constexpr size_t FieldCount() {
  constexpr size_t kCount = BracedCount<T>();
  constexpr bool kArray = HoldsArray<T, kCount>();
  static_assert(!kArray, "a struct that is a record may not hold a C array: use std::array, or "
                         "std::string for text");
  static_assert(!kHasBase<T>, "a struct that is a record may not have a base class: make it a "
                              "field, or give the struct a Codec");
  return kArray || kHasBase<T> ? 0 : kCount;
}

// References to the fields, and their types as declared (so that a reference member shows).
template <class... Declared>
struct FieldTuple : std::tuple<Declared&...> {
  using std::tuple<Declared&...>::tuple;
  const std::tuple<Declared&...>& tuple() const { return *this; }
};

template <class T>
constexpr auto FieldsOf(T& t) {
  constexpr size_t n = FieldCount<std::remove_const_t<T>>();
  if constexpr (n == 1) {
    auto& [a] = t;
    return FieldTuple<decltype(a)>(a);
  } else if constexpr (n == 2) {
    auto& [a, b] = t;
    return FieldTuple<decltype(a), decltype(b)>(a, b);
  } else if constexpr (n == 3) {
    auto& [a, b, c] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c)>(a, b, c);
  } else if constexpr (n == 4) {
    auto& [a, b, c, d] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d)>(a, b, c, d);
  } else if constexpr (n == 5) {
    auto& [a, b, c, d, e] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e)>(a, b, c, d,
        e);
  } else if constexpr (n == 6) {
    auto& [a, b, c, d, e, f] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e),
        decltype(f)>(a, b, c, d, e, f);
  } else if constexpr (n == 7) {
    auto& [a, b, c, d, e, f, g] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
        decltype(g)>(a, b, c, d, e, f, g);
  } else if constexpr (n == 8) {
    auto& [a, b, c, d, e, f, g, h] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
        decltype(g), decltype(h)>(a, b, c, d, e, f, g, h);
  } else if constexpr (n == 9) {
    auto& [a, b, c, d, e, f, g, h, i] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
        decltype(g), decltype(h), decltype(i)>(a, b, c, d, e, f, g, h, i);
  } else if constexpr (n == 10) {
    auto& [a, b, c, d, e, f, g, h, i, j] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
        decltype(g), decltype(h), decltype(i), decltype(j)>(a, b, c, d, e, f, g, h, i, j);
  } else if constexpr (n == 11) {
    auto& [a, b, c, d, e, f, g, h, i, j, k] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
        decltype(g), decltype(h), decltype(i), decltype(j), decltype(k)>(a, b, c, d, e, f, g, h, i,
        j, k);
  } else if constexpr (n == 12) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
        decltype(g), decltype(h), decltype(i), decltype(j), decltype(k), decltype(l)>(a, b, c, d, e,
        f, g, h, i, j, k, l);
  } else if constexpr (n == 13) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
        decltype(g), decltype(h), decltype(i), decltype(j), decltype(k), decltype(l),
        decltype(m)>(a, b, c, d, e, f, g, h, i, j, k, l, m);
  } else if constexpr (n == 14) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
        decltype(g), decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m),
        decltype(n)>(a, b, c, d, e, f, g, h, i, j, k, l, m, n);
  } else if constexpr (n == 15) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
        decltype(g), decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m),
        decltype(n), decltype(o)>(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o);
  } else if constexpr (n == 16) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = t;
    return FieldTuple<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
        decltype(g), decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m),
        decltype(n), decltype(o), decltype(p)>(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
  } else {
    return;
  }
}

}  // namespace sluice::internal
