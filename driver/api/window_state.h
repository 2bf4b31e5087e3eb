// What a window keeps between batches, as entries of the operator's keyed state. Entry keys start
// with a tag:
//   list of times     'M', 'N', 'O', 'P'  the batches held, oldest first
//   batch entry       'B' time, 'F' time  an encoded record batch
//   fold              'Q'                 the same, of several batches
//   running entry     'R' key             per key, across batches
// The lists are, without an inverse: 'M' the back and 'O' the middle, whose batches are 'B'; 'N'
// the front and 'P' what of the middle is turned over, whose folds are 'F' (stack_window.h). A
// state without 'O', 'P' and 'Q', as it was written before they came up, is one without a middle.
// A batch is held from its time on until no window to come covers it, so that each slide adds and
// removes what comes and what leaves, and nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/codec.h"
#include "common/plan/kernel.h"
#include "driver/api/chain.h"

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
  ~HeldBatches();

  const std::vector<int64_t>& times() const { return times_; }
  bool empty() const { return times_.empty(); }
  // Appends a batch that is newer than all held.
  void Add(int64_t time_ms, const RecordBatch& records);
  // Prepends one that is older than all held.
  void AddOldest(int64_t time_ms, const RecordBatch& records);
  // Valid until the state changes or the next call.
  BatchView Get(int64_t time_ms);
  void RemoveOldest();
  void RemoveNewest();
  // Hands all batches on to one with the same tag of entries, whose own are older.
  void MoveAllTo(HeldBatches& older);
  // Adds a batch, or takes the place of the one of that time.
  void Set(int64_t time_ms, const RecordBatch& records);
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

// ---- for PartitionOperator::TakeOver --------------------------------------------------------

// Adds to the batches that `to` holds ('M', 'B') what `pick` appends of the former's.
using PickRecords = std::function<void(const BatchView& records, RecordBatch& out)>;
void TakeOverBatches(KeyedState& former, KeyedState& to, uint32_t fixed_size,
                     const PickRecords& pick);
// The same for pairs of a key of type K: those of this partition's keys.
template <class K>
void TakeOverPairs(const Spreading& spreading, KeyedState& former, KeyedState& to,
                   uint32_t fixed_size) {
  TakeOverBatches(former, to, fixed_size, [&](const BatchView& pairs, RecordBatch& out) {
    for (uint32_t i = 0; i < pairs.count; ++i) {
      const std::string_view record = pairs.record(i);
      ByteReader in{record.data(), record.data() + record.size()};
      std::string_view key;
      if (!TakeKeyField<K>(in, key)) ThrowBadRecord(RecordName<K>(), i, record.size());
      if (spreading.Takes(key)) out.Append(record);
    }
  });
}
struct TimedBatch {
  int64_t time_ms = 0;
  RecordBatch records;
};
// Folds of each time and all later ones, of keys that `to` does not have, join its front ('N',
// 'F'): a time that one of the two lacks is as its next.
void JoinFronts(std::vector<TimedBatch> folds, KeyedState& to, uint32_t fixed_size);

}  // namespace sluice::internal
