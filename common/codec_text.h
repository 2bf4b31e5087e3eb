// The text form of records, one per line: text as it is; numbers in the shortest decimal that
// reads back; (a,b) for pairs, tuples and aggregates; [a,b] for vectors and arrays; Some(a) or
// None; a Protobuf message in one-line text format.
#pragma once

#include <string>
#include <string_view>

#include "common/codec.h"

namespace sluice {
namespace internal {

void AppendNumber(int64_t value, std::string& out);
void AppendNumber(uint64_t value, std::string& out);
void AppendNumber(double value, std::string& out);
void AppendNumber(float value, std::string& out);

template <class T>
concept HasTextCodec = requires(const T& value, std::string& out) {
  Codec<T>::AppendText(value, out);
};

}  // namespace internal

// Appends the text of a row. The row holds no reference longer than the call.
template <class R>
void AppendText(const R& row, std::string& out);

namespace internal {

template <class R>
void AppendList(char open, const R& elements, char close, std::string& out) {
  char before = open;
  for (const auto& element : elements) {
    out.push_back(before);
    AppendText(element, out);
    before = ',';
  }
  if (before == open) out.push_back(open);
  out.push_back(close);
}

template <class R>
void AppendNumberText(R value, std::string& out) {
  if constexpr (std::is_enum_v<R>) {
    AppendNumberText(static_cast<std::underlying_type_t<R>>(value), out);
  } else if constexpr (std::same_as<R, bool>) {
    out += value ? "true" : "false";
  } else if constexpr (std::same_as<R, char>) {
    out.push_back(value);
  } else if constexpr (std::is_floating_point_v<R>) {
    AppendNumber(value, out);
  } else if constexpr (std::is_signed_v<R>) {
    AppendNumber(static_cast<int64_t>(value), out);
  } else {
    AppendNumber(static_cast<uint64_t>(value), out);
  }
}

template <class R>
void AppendStructText(const R& fields, std::string& out) {
  std::apply(
      [&](const auto&... field) {
        char before = '(';
        ((out.push_back(before), AppendText(field, out), before = ','), ...);
        out.push_back(')');
      },
      fields);
}

}  // namespace internal

template <class R>
void AppendText(const R& row, std::string& out) {
  using T = Own<R>;
  using namespace internal;
  if constexpr (Number<T>) {
    AppendNumberText(row, out);
  } else if constexpr (std::same_as<T, std::string>) {
    out.append(row);
  } else if constexpr (UserCodec<T>) {
    static_assert(HasTextCodec<T>,
                  "a record with a Codec of its own needs Codec<T>::AppendText(value, out) to be "
                  "printed or saved as text");
    Codec<T>::AppendText(row, out);
  } else if constexpr (ProtobufMessage<T>) {
    out += row.ShortDebugString();
  } else if constexpr (kShape<T> == 3) {
    AppendList('[', row, ']', out);
  } else if constexpr (kShape<T> == 2) {
    if (!row.has_value()) {
      out += "None";
      return;
    }
    out += "Some(";
    AppendText(*row, out);
    out.push_back(')');
  } else if constexpr (requires { row.begin(); }) {  // std::array
    AppendList('[', row, ']', out);
  } else if constexpr (kShape<T> == 1) {
    AppendStructText(row, out);
  } else {
    AppendStructText(FieldsOf(const_cast<R&>(row)).tuple(), out);
  }
}

}  // namespace sluice
