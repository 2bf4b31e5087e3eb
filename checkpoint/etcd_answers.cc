#include "checkpoint/etcd_answers.h"

#include <nlohmann/json.hpp>

#include <charconv>
#include <cstdio>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/errors.h"
#include "common/status.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr size_t kSlotDigits = 20;
constexpr int kEtcdTooLarge = 3;  // gRPC's INVALID_ARGUMENT
constexpr int kEtcdNoSpace = 8;   // and RESOURCE_EXHAUSTED

absl::Status NoAnswer(const char* lacks) {
  return absl::UnavailableError(absl::StrCat("no answer of etcd's: ", lacks));
}

// Every answer has a header; other members are left out where they are zero, false or empty.
absl::StatusOr<Json> ParseAnswer(std::string_view body) {
  Json answer = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (answer.is_discarded() || !answer.is_object()) return NoAnswer("no JSON object");
  const auto header = answer.find("header");
  if (header == answer.end() || !header->is_object()) return NoAnswer("no header");
  return answer;
}

absl::StatusOr<bool> FlagOf(const Json& answer, const char* name) {
  const auto found = answer.find(name);
  if (found == answer.end()) return false;
  if (!found->is_boolean()) return NoAnswer("a flag that is none");
  return found->get<bool>();
}

// A member as text; empty when it is not there or is no text.
std::string TextOf(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<std::string> BytesOf(const Json& object, const char* name) {
  std::string bytes;
  if (!absl::Base64Unescape(TextOf(object, name), &bytes)) return std::nullopt;
  return bytes;
}

std::optional<uint64_t> SlotOf(const std::string& key, const std::string& root) {
  if (key.size() != root.size() + kSlotDigits || !key.starts_with(root)) return std::nullopt;
  uint64_t slot = 0;
  const char* end = key.data() + key.size();
  const auto [stop, error] = std::from_chars(key.data() + root.size(), end, slot);
  if (error != std::errc() || stop != end) return std::nullopt;
  return slot;
}

}  // namespace

std::string EtcdKey(const std::string& root, uint64_t slot) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "%0*llu", static_cast<int>(kSlotDigits),
                static_cast<unsigned long long>(slot));
  return root + digits;
}

absl::StatusOr<EtcdPage> ParseEtcdPage(std::string_view body, const std::string& root,
                                       uint64_t from) {
  ASSIGN_OR_RETURN(const Json answer, ParseAnswer(body));
  EtcdPage page;
  ASSIGN_OR_RETURN(page.more, FlagOf(answer, "more"));
  const auto pairs = answer.find("kvs");
  if (pairs == answer.end()) return page;
  if (!pairs->is_array()) return NoAnswer("keys that are no list");
  for (const Json& pair : *pairs) {
    const std::optional<std::string> key = BytesOf(pair, "key");
    std::optional<std::string> bytes = BytesOf(pair, "value");
    const std::optional<uint64_t> slot = key ? SlotOf(*key, root) : std::nullopt;
    if (!slot || !bytes) return DamagedError("log damaged: no slot is named so: " + root);
    const bool follows = page.slots.empty() ? *slot >= from : *slot > page.slots.back().number;
    if (!follows) return NoAnswer("slots in another order, or of another range");
    page.slots.push_back({*slot, *std::move(bytes)});
  }
  return page;
}

absl::StatusOr<bool> ParseEtcdSucceeded(std::string_view body) {
  ASSIGN_OR_RETURN(const Json answer, ParseAnswer(body));
  return FlagOf(answer, "succeeded");
}

absl::Status EtcdFailure(int http_status, std::string_view body, std::string_view endpoint) {
  const Json answer = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  const auto code = answer.is_object() ? answer.find("code") : answer.end();
  const int64_t number =
      code != answer.end() && code->is_number_integer() ? code->get<int64_t>() : 0;
  const std::string why = absl::StrCat("etcd at ", ToAbsl(endpoint), ": ",
                                       TextOf(answer, "error"), " (", http_status, ")");
  if (number == kEtcdTooLarge || number == kEtcdNoSpace) return absl::ResourceExhaustedError(why);
  if (http_status == 401 || http_status == 403) return absl::PermissionDeniedError(why);
  return absl::UnavailableError(why);
}

}  // namespace sluice
