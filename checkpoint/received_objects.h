// Received blocks as objects of the checkpoint store: the received-data log.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace sluice {

// Under it are received blocks, one object each.
inline constexpr char kReceivedFolder[] = "received/";

struct ReceivedName {
  uint64_t job_instance = 0;
  uint32_t stream = 0;
  uint64_t incarnation = 0;  // of the receiver
  uint64_t number = 0;       // of the block within it
  auto operator<=>(const ReceivedName&) const = default;
};

// "received/<job>-<stream>-<incarnation>-<number>": job and incarnation in 16 hexadecimal digits.
std::string ObjectOf(const ReceivedName& name);
// Nothing for an object that is named otherwise.
std::optional<ReceivedName> ReceivedNameOf(std::string_view object);

// An object that every store of this job holds: whoever opens a store by its URL can tell from it
// that it is the same one.
std::string JobMark(uint64_t job_instance);

// The object of an encoded record batch (common/record_batch.h): its bytes, then their CRC-32C,
// little-endian.
std::string EncodeReceived(std::string_view batch);
// The batch again. Data loss when the checksum is not that of the bytes.
absl::StatusOr<std::string> DecodeReceived(std::string object);

}  // namespace sluice
