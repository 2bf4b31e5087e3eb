// Entries in the order of their keys' bytes, on disk, for what is too large for memory and need not
// outlive its process: the base of a job's state (docs/larger_state.md).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace sluice {

// Walks the entries of one prefix, ascending, as they were when it was made. Not thread-safe.
class SortedCursor {
 public:
  virtual ~SortedCursor() = default;
  // The next entry, `key` without the prefix; both are valid until the next call. False: there is
  // none, or status() says why not.
  virtual bool Next(std::string_view& key, std::string_view& value) = 0;
  virtual absl::Status status() const = 0;
};

// Thread-safe.
class SortedReads {
 public:
  virtual ~SortedReads() = default;
  // Calls `found` once for each key, with its place in `keys`, in any order. A value whose data()
  // is null: there is no such entry. Values are valid within the call. The more keys at once the
  // less each costs.
  using Found = std::function<void(size_t place, std::string_view value)>;
  virtual absl::Status GetMany(std::span<const std::string_view> keys, const Found& found) = 0;
  // From `prefix` and `from` on.
  virtual std::unique_ptr<SortedCursor> Walk(std::string_view prefix, std::string_view from) = 0;
};

// Changes that are to be made at once; of two of one key the later counts. Not thread-safe.
class SortedBatch {
 public:
  virtual ~SortedBatch() = default;
  virtual void Put(std::string_view key, std::string_view value) = 0;
  virtual void Remove(std::string_view key) = 0;
  virtual uint64_t bytes() const = 0;
};

// Thread-safe. After an error of Apply or DropPrefix it may lack any of the changes.
class SortedDb : public SortedReads {
 public:
  virtual std::unique_ptr<SortedBatch> NewBatch() = 0;
  // Empties the batch. Waits where the disk does not keep up.
  virtual absl::Status Apply(SortedBatch& batch) = 0;
  virtual absl::Status DropPrefix(std::string_view prefix) = 0;
  // All entries as they are now, whatever is changed later. The database outlives it.
  virtual std::unique_ptr<SortedReads> Snapshot() = 0;
};

}  // namespace sluice
