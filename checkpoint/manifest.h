// The last-written object of a checkpoint: the checkpoint exists if and only if this does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/log_chain.h"

namespace sluice {

// The parts that together give one partition of one operator: the first is whole, the others are
// increments, in order.
struct StateChain {
  std::string operator_name;
  uint32_t partition = 0;
  std::vector<std::string> parts;  // names of objects
  bool operator==(const StateChain&) const = default;
};

struct Manifest {
  uint64_t sequence = 0;  // orders manifests; batch times do not
  uint64_t job_instance = 0;
  int64_t batch_ms = 0;
  LogPosition decided = {};  // the record that has `decided` of this batch
  std::vector<StateChain> chains = {};
  std::string driver_payload = {};  // opaque here
  bool operator==(const Manifest&) const = default;
};

std::string EncodeManifest(const Manifest& manifest);

// Data loss, with the offset, for anything that EncodeManifest did not write.
absl::StatusOr<Manifest> DecodeManifest(std::string_view bytes);

}  // namespace sluice
