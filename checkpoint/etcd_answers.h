// What etcd's JSON gateway answers: texts from outside, of which nothing is believed unseen.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice {

struct EtcdSlot {
  uint64_t number = 0;
  std::string bytes;
  bool operator==(const EtcdSlot&) const = default;
};

struct EtcdPage {
  std::vector<EtcdSlot> slots;
  bool more = false;  // there are further ones behind these
};

// The key of a slot: `root` and its number in 20 digits.
std::string EtcdKey(const std::string& root, uint64_t slot);

// The slots at or above `from` that there are, ascending. Unavailable for what is no answer of
// etcd's to that: it is never taken for an empty range. Damage for a key that is no slot's.
absl::StatusOr<EtcdPage> ParseEtcdPage(std::string_view body, const std::string& root,
                                       uint64_t from);

// Whether a transaction's condition held; false for other sound answers. Unavailable for what is no
// answer of etcd's: what became of the request is then unknown.
absl::StatusOr<bool> ParseEtcdSucceeded(std::string_view body);

// Of an answer with an HTTP status other than 200: resource exhausted for what is too large or does
// not fit, denied, else unavailable.
absl::Status EtcdFailure(int http_status, std::string_view body, std::string_view endpoint);

}  // namespace sluice
