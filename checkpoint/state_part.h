// State parts: the entries of one or more (operator, partition) pieces of a checkpoint as one
// object. Two encodings of the same content: RocksDB SST files (rocksdb_state_part.h) and a plain
// one for the simulator and local mode.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

struct StateEntry {
  std::string key = {};
  bool removed = false;  // in an increment: the key is gone; value and timer are empty
  std::string value = {};
  std::optional<int64_t> timer_ms = {};
  uint64_t insertion = 0;  // a restored table iterates in the order of these
  bool operator==(const StateEntry&) const = default;
};

// What one partition of one operator has in one part. A name is 1 to 65535 bytes.
struct StatePiece {
  std::string operator_name;
  uint32_t partition = 0;
  std::vector<StateEntry> entries;  // in any order; no key twice
};

// One opened part. Errors are damaged and name the part. Not thread-safe.
class StatePartReader {
 public:
  using Visitor = std::function<absl::Status(StateEntry&& entry)>;

  virtual ~StatePartReader() = default;
  // Visits the entries of one piece by key. An error of the visitor ends it and is returned. Not
  // found when the part has no such piece, which an empty piece is not.
  virtual absl::Status Read(const std::string& operator_name, uint32_t partition,
                            const Visitor& visitor) = 0;
  // Reads all of it.
  virtual absl::Status Verify() = 0;
};

// Thread-safe.
class StatePartCodec {
 public:
  virtual ~StatePartCodec() = default;
  // Invalid argument when a piece, or a key in one, is there twice.
  virtual absl::StatusOr<std::string> Encode(std::vector<StatePiece> pieces) const = 0;
  // `name` is for messages. Opening may already find damage.
  virtual absl::StatusOr<std::unique_ptr<StatePartReader>> Open(std::string name,
                                                                std::string bytes) const = 0;
};

std::unique_ptr<StatePartCodec> NewPlainStatePartCodec();

}  // namespace sluice
