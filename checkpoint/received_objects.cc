#include "checkpoint/received_objects.h"

#include <charconv>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"

namespace sluice {
namespace {

constexpr size_t kChecksumBytes = 4;

// Takes a number and the separator behind it off the front of `text`.
template <typename Number>
bool Take(std::string_view& text, char separator, int base, Number* value) {
  const size_t end = separator == '\0' ? text.size() : text.find(separator);
  if (end == std::string_view::npos) return false;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + end, *value, base);
  if (error != std::errc() || stop != text.data() + end) return false;
  text.remove_prefix(separator == '\0' ? end : end + 1);
  return true;
}

}  // namespace

std::string ObjectOf(const ReceivedName& name) {
  return absl::StrCat(kReceivedFolder, absl::Hex(name.job_instance, absl::kZeroPad16), "-",
                      name.stream, "-", absl::Hex(name.incarnation, absl::kZeroPad16), "-",
                      name.number);
}

std::optional<ReceivedName> ReceivedNameOf(std::string_view object) {
  std::string_view text = object;
  if (!text.starts_with(kReceivedFolder)) return std::nullopt;
  text.remove_prefix(std::string_view(kReceivedFolder).size());
  ReceivedName name;
  if (!Take(text, '-', 16, &name.job_instance) || !Take(text, '-', 10, &name.stream) ||
      !Take(text, '-', 16, &name.incarnation) || !Take(text, '\0', 10, &name.number)) {
    return std::nullopt;
  }
  if (ObjectOf(name) != object) return std::nullopt;
  return name;
}

std::string JobMark(uint64_t job_instance) {
  return absl::StrCat("job-", absl::Hex(job_instance, absl::kZeroPad16));
}

std::string EncodeReceived(std::string_view batch) {
  std::string object;
  object.reserve(batch.size() + kChecksumBytes);
  object.append(batch);
  const uint32_t crc = Crc32c(batch);
  for (size_t i = 0; i < kChecksumBytes; ++i) object.push_back(static_cast<char>(crc >> (8 * i)));
  return object;
}

absl::StatusOr<std::string> DecodeReceived(std::string object) {
  if (object.size() < kChecksumBytes) return absl::DataLossError("a received block is cut off");
  uint32_t crc = 0;
  for (size_t i = 0; i < kChecksumBytes; ++i) {
    const auto byte = static_cast<unsigned char>(object[object.size() - kChecksumBytes + i]);
    crc |= static_cast<uint32_t>(byte) << (8 * i);
  }
  object.resize(object.size() - kChecksumBytes);
  if (Crc32c(object) != crc) return absl::DataLossError("a received block has a wrong checksum");
  return object;
}

}  // namespace sluice
