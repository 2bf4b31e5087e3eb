// State parts: the entries of one or more (operator, partition) pieces of a checkpoint as one
// object. Two encodings of the same content: RocksDB SST files (rocksdb_state_part.h) and a plain
// one for the simulator and local mode.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
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

// The entries of a piece on their way into a part, as both encodings have them: key and value one
// behind the other, however many there are.
class StateEntries {
 public:
  StateEntries() = default;
  StateEntries(std::initializer_list<StateEntry> entries) {
    for (const StateEntry& entry : entries) push_back(entry);
  }
  // Due at `timer_ms`, if that is not null.
  void Add(std::string_view key, bool removed, std::string_view value, const int64_t* timer_ms,
           uint64_t insertion);
  void push_back(const StateEntry& entry) {
    Add(entry.key, entry.removed, entry.value,
        entry.timer_ms.has_value() ? &*entry.timer_ms : nullptr, entry.insertion);
  }
  void reserve(size_t count);
  size_t size() const { return places_.size(); }
  bool empty() const { return places_.empty(); }
  // Of all entries, with the lengths of each key and value.
  size_t encoded_bytes() const { return bytes_.size() + places_.size() * 2 * sizeof(uint32_t); }

  // Some entry is removed and has a value or a timer.
  bool has_bad_removal() const { return has_bad_removal_; }
  // By key. False: a key is there twice.
  bool Sort();
  // As both encodings have the entry (state_pieces.h).
  struct Encoded {
    std::string_view key;
    std::string_view value;
  };
  Encoded operator[](size_t i) const {
    const Place& place = places_[i];
    const char* const key = bytes_.data() + place.at;
    return {{key, place.key_size}, {key + place.key_size, place.value_size}};
  }

 private:
  struct Place {
    uint64_t head = 0;  // the first bytes of the key as a number of the same order
    uint64_t at = 0;
    uint32_t key_size = 0;
    uint32_t value_size = 0;
  };
  static void SortByHead(std::vector<Place>& places);

  std::string bytes_;
  std::vector<Place> places_;
  bool has_bad_removal_ = false;
};

// What one partition of one operator has in one part. A name is 1 to 65535 bytes.
struct StatePiece {
  std::string operator_name;
  uint32_t partition = 0;
  StateEntries entries;  // in any order; no key twice
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
