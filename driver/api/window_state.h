// What a window keeps between batches, as entries of the operator's keyed state. Entry keys start
// with a tag:
//   list of times     'M' (and 'N')      the batches held, oldest first
//   batch entry       'B' time (or 'F')  an encoded record batch
//   running entry     'R' key            per key, across batches
// A batch is held from its time on until no window to come covers it, so that each slide adds and
// removes what comes and what leaves, and nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/plan/kernel.h"

namespace sluice::internal {

struct WindowSpan {
  int64_t length_ms = 0;
  int64_t slide_ms = 0;

  // Batches at or before this time are in no window that ends at or after `context`'s batch.
  int64_t Cutoff(const TaskContext& context) const;
};

// Batch entries under one tag, and the list of their times under another. Borrowed state; one
// object serves one Run.
class HeldBatches {
 public:
  HeldBatches(KeyedState& state, char list_tag, char batch_tag);

  const std::vector<int64_t>& times() const { return times_; }
  bool empty() const { return times_.empty(); }
  // Appends a batch that is newer than all held.
  void Add(int64_t time_ms, const RecordBatch& records);
  // Prepends one that is older than all held.
  void AddOldest(int64_t time_ms, const RecordBatch& records);
  // Valid until the state changes or the next call.
  BatchView Get(int64_t time_ms);
  void RemoveOldest();
  // Writes the list; to be called once, after the last change.
  void Save();

 private:
  std::string_view EntryKey(int64_t time_ms);

  KeyedState& state_;
  const std::string list_key_;
  const char batch_tag_;
  std::vector<int64_t> times_;
  bool changed_ = false;
  std::string key_;
  std::string encoded_;
  std::vector<uint32_t> offsets_;
};

}  // namespace sluice::internal
