#include "checkpoint/object_store.h"

#include "common/status.h"

namespace sluice {
namespace {

constexpr size_t kComponents = 8;
constexpr size_t kComponentBytes = 200;

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool IsComponent(std::string_view text) {
  if (text.empty() || text.size() > kComponentBytes || text[0] == '.') return false;
  for (char c : text) {
    if (!IsNameByte(c)) return false;
  }
  return true;
}

}  // namespace

absl::Status CheckObjectName(std::string_view name) {
  std::string_view left = name;
  for (size_t components = 1; components <= kComponents; ++components) {
    const size_t slash = left.find('/');
    if (!IsComponent(left.substr(0, slash))) break;
    if (slash == std::string_view::npos) return absl::OkStatus();
    left.remove_prefix(slash + 1);
  }
  return absl::InvalidArgumentError("not a name of an object: \"" + std::string(name) + "\"");
}

}  // namespace sluice
