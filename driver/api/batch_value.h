// What user functions may ask about the batch that they work for: its time, and values that the job
// driver found when it planned the batch.
//
// Both are handles to be captured: they are asked inside a function that a task or an output
// operation is calling, and answer for the batch at hand. A batch that is run again, anywhere, gets
// the same answers.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/codec.h"
#include "common/plan/graph_ids.h"

namespace sluice {

class BatchTime {
 public:
  // Milliseconds since the epoch. Throws std::logic_error outside of a batch.
  int64_t ms() const;
};

namespace internal {
// The encoded value. Throws std::logic_error outside of a batch.
std::string_view FindBatchValue(BatchValueId id);
[[noreturn]] void ThrowBadBatchValue(std::string_view type);
}  // namespace internal

// Made by StreamingContext::PerBatch.
template <Record T>
class BatchValue {
 public:
  explicit BatchValue(BatchValueId id) : id_(id) {}

  // A view, valid as long as the function that asked runs. Decodes it each time.
  View<T> operator*() const {
    View<T> view{};
    if (!DecodeRecord<T>(internal::FindBatchValue(id_), view)) {
      internal::ThrowBadBatchValue(RecordName<T>());
    }
    return view;
  }
  T Get() const { return internal::ToOwned(**this); }

 private:
  BatchValueId id_;
};

}  // namespace sluice
