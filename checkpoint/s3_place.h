// Where in a bucket the things of one life of a job are (docs/stores.md, "Names").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct S3Place {
  std::string prefix;
  uint64_t life = 1;          // the first is 1
  bool spread_first = false;  // the digit goes in front of everything

  // "prefix/00000001/"
  std::string root() const;
  // "prefix/00000001/log/"
  std::string log_prefix() const { return root() + "log/"; }
  std::string SlotKey(uint64_t slot) const;
  // There from the first slot of a life on: a log that is empty beside it has been lost.
  std::string begun_key() const { return root() + "begun"; }
  // Nothing for a key that SlotKey has not given.
  std::optional<uint64_t> SlotOf(std::string_view key) const;
  std::string ObjectKey(const std::string& name) const;
  // What listings begin with that together have every object but manifests.
  std::vector<std::string> ObjectRoots() const;
};

// Such names are not spread: they are few, and are listed often.
inline constexpr std::string_view kUnspread = "manifest-";

}  // namespace sluice
