// Batches scripted by a program or a test.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/codec.h"
#include "common/plan/kernel.h"

namespace sluice {

struct QueueOptions {
  // May be used with a checkpoint and on a cluster, though its batches come again from the first
  // when the job, or its driver, is started anew.
  bool test_only = false;
};

namespace internal {

// Thread-safe.
class EncodedQueue : public QueueSource {
 public:
  virtual void Push(const RecordBatch& batch) = 0;
  virtual void PushNoDataset() = 0;
};
std::shared_ptr<EncodedQueue> MakeQueue(uint32_t fixed_size, bool test_only);

}  // namespace internal

// A handle on a queue of batches: copies share it. Thread-safe.
template <Record T>
class RecordQueue {
 public:
  explicit RecordQueue(QueueOptions options = {})
      : queue_(internal::MakeQueue(kFixedSize<T>, options.test_only)) {}

  // Appends the records of one batch.
  void Push(const std::vector<T>& records) {
    RecordBatch batch(kFixedSize<T>);
    for (const T& record : records) {
      EncodeRecord<T>(record, batch.bytes());
      batch.EndRecord();
    }
    queue_->Push(batch);
  }
  // Appends a batch at which the stream has no dataset, not even an empty one.
  void PushNoDataset() { queue_->PushNoDataset(); }
  std::shared_ptr<QueueSource> source() const { return queue_; }

 private:
  std::shared_ptr<internal::EncodedQueue> queue_;
};

}  // namespace sluice
