#include "checkpoint/s3_place.h"

#include <charconv>
#include <cstdio>

#include "common/crc32c.h"

namespace sluice {
namespace {

constexpr size_t kSlotDigits = 20;
constexpr char kHexDigits[] = "0123456789abcdef";

std::string Padded(uint64_t number, int digits) {
  char text[24];
  std::snprintf(text, sizeof text, "%0*llu", digits, static_cast<unsigned long long>(number));
  return text;
}

// No prefix begins like it (checkpoint_url.h).
std::string FirstComponent(char digit) { return std::string(1, digit) + "-sluice/"; }

}  // namespace

std::string S3Place::root() const { return prefix + "/" + Padded(life, 8) + "/"; }

std::string S3Place::SlotKey(uint64_t slot) const {
  return log_prefix() + Padded(slot, kSlotDigits);
}

std::optional<uint64_t> S3Place::SlotOf(std::string_view key) const {
  const std::string before = log_prefix();
  if (!key.starts_with(before) || key.size() != before.size() + kSlotDigits) return std::nullopt;
  key.remove_prefix(before.size());
  uint64_t slot = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), slot);
  if (error != std::errc() || end != key.data() + key.size()) return std::nullopt;
  return slot;
}

std::string S3Place::ObjectKey(const std::string& name) const {
  if (name.starts_with(kUnspread)) return root() + name;
  const char digit = kHexDigits[Crc32c(name) & 15];
  if (spread_first) return FirstComponent(digit) + root() + "objects/" + name;
  return root() + "objects/" + digit + "/" + name;
}

std::vector<std::string> S3Place::ObjectRoots() const {
  if (!spread_first) return {root() + "objects/"};
  std::vector<std::string> roots;
  for (int i = 0; i < 16; ++i) {
    roots.push_back(FirstComponent(kHexDigits[i]) + root() + "objects/");
  }
  return roots;
}

}  // namespace sluice
