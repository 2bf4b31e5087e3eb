// Status macros, and the one place where std::string_view and absl::string_view meet: the packaged
// Abseil is built with a string_view of its own. For everybody inside; never in driver/api.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

// The same bytes under the other type; nothing is copied.
constexpr absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
constexpr std::string_view FromAbsl(absl::string_view text) { return {text.data(), text.size()}; }

// The message of `status`, valid as long as `status` is.
inline std::string_view Message(const absl::Status& status) { return FromAbsl(status.message()); }

// The same code, with `context` and ": " before the message. OK stays OK.
inline absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  std::string text(context);
  text += ": ";
  text += Message(status);
  return absl::Status(status.code(), text);
}

}  // namespace sluice

// Returns from the enclosing function, with the error, if `expression` (an absl::Status) is not OK.
#define RETURN_IF_ERROR(expression)                                          \
  do {                                                                       \
    if (absl::Status sluice_status = (expression); !sluice_status.ok()) {    \
      return sluice_status;                                                  \
    }                                                                        \
  } while (false)

// ASSIGN_OR_RETURN(Type name, StatusOr expression): declares or assigns, or returns the error.
// A type with a comma in it needs an alias or `auto`.
#define ASSIGN_OR_RETURN(target, expression) \
  SLUICE_ASSIGN_OR_RETURN_(SLUICE_JOIN_(sluice_status_or_, __COUNTER__), target, expression)

#define SLUICE_ASSIGN_OR_RETURN_(result, target, expression) \
  auto result = (expression);                                \
  if (!result.ok()) return std::move(result).status();       \
  target = *std::move(result)

#define SLUICE_JOIN_(a, b) SLUICE_JOIN_AGAIN_(a, b)
#define SLUICE_JOIN_AGAIN_(a, b) a##b
