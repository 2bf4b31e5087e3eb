// What the engine runs: kernels over batches of bytes. The typed layer (driver/api) makes them;
// nothing here knows a user's type.
//
// User code runs inside kernels and may throw; the task runner stops the exception there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/encoded_batch.h"
#include "common/record_batch.h"

namespace sluice {

// Says where a shuffle sends a key, given by its canonical bytes, instead of the hash of the key.
class KeyPartitioner {
 public:
  virtual ~KeyPartitioner() = default;
  // Below `partitions`, and always the same. Throws std::out_of_range where the user's function
  // gives another number.
  virtual uint32_t PartitionOf(std::string_view key, uint32_t partitions) const = 0;
};

// Where and when a kernel runs. Equal on every replay of the batch, but for the fence.
struct TaskContext {
  int64_t batch_ms = 0;
  int64_t zero_ms = 0;
  int64_t batch_interval_ms = 0;
  uint32_t stage = 0;
  uint32_t task = 0;         // map task or partition
  uint32_t total_tasks = 1;  // tasks of the stage in this batch
  uint32_t key_groups = 1024;
  uint64_t random_seed = 0;  // of (job instance, batch, stage, task, way through unions)
  uint64_t job_instance = 0;
  uint64_t fence = 0;        // of the generation that runs it; never goes back
  std::span<const std::string> values;  // the batch's values, as the graph numbers them
  // Of the shuffle that the kernel feeds, or the partition operator reads; null: the hash.
  const KeyPartitioner* partitioner = nullptr;
};

// Grows with every generation of a job, whoever drives it.
inline uint64_t FenceOf(uint64_t epoch, uint64_t generation) {
  return epoch << 32 | (generation & 0xffffffffu);
}

// The task, or the call of an output operation, whose user code runs on this thread; null outside.
const TaskContext* CurrentTask();

// Says so for a scope.
class CurrentTaskScope {
 public:
  explicit CurrentTaskScope(const TaskContext& context);
  ~CurrentTaskScope();
  CurrentTaskScope(const CurrentTaskScope&) = delete;
  CurrentTaskScope& operator=(const CurrentTaskScope&) = delete;

 private:
  const TaskContext* const before_;
};

// A fused run of narrow operators that ends in encoded records. Immutable, shared by threads.
class NarrowKernel {
 public:
  virtual ~NarrowKernel() = default;
  // Appends the results for the records of one input dataset (several batches) to `out`.
  virtual void Run(const TaskContext& context, std::span<const BatchView> input,
                   RecordBatch& out) const = 0;
  // Bytes of each output record when all have the same, else 0.
  virtual uint32_t output_fixed_size() const = 0;
};

// The map side of a shuffle: a fused run of narrow operators that ends in one share for each
// partition. One object serves one thread; it is reused from task to task and keeps its memory.
class ShuffleKernel {
 public:
  virtual ~ShuffleKernel() = default;
  // One task: all input batches, combined by key where the operator combines. Afterwards
  // shares()[p] is what goes to partition p, valid until the next Run.
  virtual void Run(const TaskContext& context, std::span<const BatchView> input,
                   uint32_t partitions) = 0;
  virtual std::span<const RecordBatch> shares() const = 0;
  // One of them, not empty, in its encoded form; it may be empty afterwards.
  virtual std::string TakeShare(uint32_t partition) {
    std::string encoded;
    EncodeBatch(shares()[partition].view(), encoded);
    return encoded;
  }
};

class ShuffleKernelFactory {
 public:
  virtual ~ShuffleKernelFactory() = default;
  virtual std::unique_ptr<ShuffleKernel> New() const = 0;
};

// One map task's share for the partition at hand.
struct Share {
  uint32_t input = 0;  // which input of the operator it came by
  BatchView records;
};

// The state of one stateful operator in one partition, as bytes. Changes go to the attempt's
// scratch layer; an entry put with its present value is no change. Iteration is in insertion
// order: a key keeps its place while it lives.
class KeyedState {
 public:
  virtual ~KeyedState() = default;
  // Valid until the next change of this key.
  virtual std::optional<std::string_view> Get(std::string_view key) = 0;
  virtual void Put(std::string_view key, std::string_view value) = 0;
  // The same with a due time, in milliseconds of batch time and not 0; Put leaves none.
  virtual void PutTimed(std::string_view key, std::string_view value, int64_t due_ms) = 0;
  virtual void Remove(std::string_view key) = 0;
  // Visits the entries present at the call. The visitor may put or remove any key; one that it
  // removes ahead is not visited.
  using Visitor = std::function<void(std::string_view key, std::string_view value)>;
  virtual void ForEach(const Visitor& visit) = 0;
  // The same for the entries whose due time lies before `before_ms`: the earliest first, those of
  // one time in insertion order. One that the visitor puts off is not visited either. The cost is
  // by what is due or was put since, not by what is held.
  virtual void ForEachDue(int64_t before_ms, const Visitor& visit) = 0;

  // ---- for operators that change what they have just read ----
  // Where a key's entry is, or that it has none: spares a second search. `hash` is KeyHash(key).
  struct Place {
    uint64_t hash = 0;
    uint32_t slot = 0;   // for the state only
    bool known = false;  // false: PutAt searches
    // What Look found, where this attempt has put it: until the entry is put or removed it may be
    // written over in its size, which spares a PutAt with the due time that it has.
    char* value = nullptr;
  };
  // As Get, with data() null for nothing; `place` is good for PutAt in this attempt until the entry
  // is put or removed.
  virtual std::string_view Look(std::string_view key, uint64_t hash, Place& place) {
    place = Place{.hash = hash};
    return Get(key).value_or(std::string_view());
  }
  // Look for each of some dozen keys, whose memory is asked for at once.
  struct Found {
    std::string_view value;
    Place place;
  };
  virtual void LookAll(std::span<const std::string_view> keys, const uint64_t* hashes,
                       Found* found) {
    for (size_t i = 0; i < keys.size(); ++i) {
      found[i].value = Look(keys[i], hashes[i], found[i].place);
    }
  }
  // As PutTimed, or as Put where `due_ms` is 0.
  virtual void PutAt(const Place& /*place*/, std::string_view key, std::string_view value,
                     int64_t due_ms) {
    due_ms == 0 ? Put(key, value) : PutTimed(key, value, due_ms);
  }
  // PutAt for each of some dozen keys, whose memory is asked for at once.
  struct Putting {
    Place place;
    std::string_view key, value;
  };
  virtual void PutAll(std::span<const Putting> entries, int64_t due_ms) {
    for (const Putting& one : entries) PutAt(one.place, one.key, one.value, due_ms);
  }
  // Of the entry that a visitor is called with, within that call.
  virtual Place Visited() const { return Place(); }
  // A hint that keys of these hashes, some dozen at most, will be asked for next.
  virtual void Prefetch(std::span<const uint64_t> /*hashes*/) {}
  // Entries are on disk, so that each key that is asked for by itself is a read of its own. Fetch
  // reads the entries of keys that will be asked for next, a thousand or so, all at once.
  virtual bool on_disk() const { return false; }
  virtual void Fetch(std::span<const std::string_view> /*keys*/) {}
  // Of the key's entry; 0: none.
  virtual int64_t DueOf(std::string_view key) = 0;
  virtual uint64_t size() const = 0;
};

struct OperatorContext {
  TaskContext task;
  uint32_t partitions = 1;
  bool emits = true;             // false: only take in; this batch is between two slides
  KeyedState* state = nullptr;   // null for an operator without state
};

// State that was written in `former_partitions` partitions and is to go on in `partitions`.
struct Spreading {
  uint32_t former = 0;               // the partition that is read
  uint32_t former_partitions = 1;
  uint32_t partition = 0;            // the partition that is filled
  uint32_t partitions = 1;
  uint32_t key_groups = 1024;
  const KeyPartitioner* partitioner = nullptr;  // as in TaskContext

  // The key's partition is the one that is filled. By canonical bytes.
  bool Takes(std::string_view key) const;
  // Some key may be in both; false only where keys go by their hash.
  bool MayShareKeys() const;
  // For what has no key: each former partition goes whole to one, in order.
  bool TakesWhole() const {
    return uint64_t{former} * partitions / former_partitions == partition;
  }
};

// The reduce side of a shuffle, for one partition. One object serves one thread and is reused
// for any partition: what outlives a batch is in the state.
class PartitionOperator {
 public:
  virtual ~PartitionOperator() = default;
  // Folds the shares, which come in (edge, task) order, and appends the results to `out`.
  virtual void Run(const OperatorContext& context, std::span<const Share> shares,
                   RecordBatch& out) = 0;
  virtual uint32_t output_fixed_size() const = 0;
  // The results are the shares' records as they came. Where shares are at hand as batches they may
  // be taken as they are, and Run is not called.
  virtual bool passes_on() const { return false; }

  // State may go on in another number of partitions, when the job is started again: TakeOver adds
  // to `to` what its partition gets of `former`. Called for each former partition that NeedsFormer,
  // in ascending order; entries keep their order. Results are then those of a job that never
  // had another number, but for the order of keys and of inexact sums.
  virtual bool spreads() const { return false; }
  virtual bool NeedsFormer(const Spreading& spreading) const { return spreading.MayShareKeys(); }
  virtual void TakeOver(const Spreading& /*spreading*/, KeyedState& /*former*/,
                        KeyedState& /*to*/) {}
};

class PartitionOperatorFactory {
 public:
  virtual ~PartitionOperatorFactory() = default;
  virtual std::unique_ptr<PartitionOperator> New() const = 0;
};

// ---- sources ------------------------------------------------------------------------------

// What a receiver stores into. Thread-safe.
class ReceiverSink {
 public:
  virtual ~ReceiverSink() = default;
  // Appends one record to the open buffer; returns before anything is durable. May block while
  // the rate limit or the buffer is exhausted. False: the receiver is to stop. A record above
  // 64 MiB is dropped, reported and counted as lost.
  virtual bool Store(std::string_view record) = 0;
  // Stores encoded records as blocks of their own, as few as their size allows, and returns before
  // anything is durable. May block as Store does. False: the receiver is to stop.
  virtual bool StoreBlock(const BatchView& records) {
    for (uint32_t i = 0; i < records.count; ++i) {
      if (!Store(records.record(i))) return false;
    }
    return true;
  }
  // Seals the records as one block and returns when it is replicated and logged. `first` numbers
  // the first record; an empty producer means unnumbered. Returns the last logged number of the
  // producer (at least the last of these records on success), or nothing when the records could
  // not be stored and must be sent again. Records at or below the last logged number are dropped.
  // Throws std::length_error, and stores none, where one of them is above the largest size, 64 MiB.
  virtual std::optional<int64_t> StoreReliably(EncodedBatch records, std::string_view producer,
                                               int64_t first) = 0;
  // The last logged number of a producer, 0 when it is new; waits for the job driver.
  virtual std::optional<int64_t> LastLogged(std::string_view producer) = 0;
  virtual bool stopping() const = 0;
  // Blocks until the receiver is to stop or the time is over; true when it is to stop.
  virtual bool WaitStopping(int64_t milliseconds) = 0;
  // One line for the log and the receiver's state; the receiver goes on.
  virtual void ReportError(std::string_view message) = 0;
};

// Runs in a receiver executor, on a thread of its own. Run returns when sink.stopping(), or
// earlier when it failed: it is then run again after a back-off.
class ReceiverBody {
 public:
  virtual ~ReceiverBody() = default;
  virtual void Run(ReceiverSink& sink) = 0;
};

class ReceiverFactory {
 public:
  virtual ~ReceiverFactory() = default;
  virtual std::unique_ptr<ReceiverBody> New() const = 0;
};

// Batches scripted by a test or a program, taken by the job driver one per batch.
class QueueSource {
 public:
  virtual ~QueueSource() = default;
  // The records of the next batch as an encoded record batch; nothing: no dataset.
  virtual std::optional<std::string> Next(int64_t batch_ms) = 0;
  virtual bool test_only() const = 0;
};

// User code of an output operation that runs in the job driver, once per batch.
struct BatchIdentity {
  uint64_t job_instance = 0;
  uint32_t output = 0;
  int64_t batch_ms = 0;
  uint64_t fence = 0;  // never goes back
};
class ForeachKernel {
 public:
  virtual ~ForeachKernel() = default;
  virtual void Run(const BatchIdentity& identity, std::span<const BatchView> records) const = 0;
};

// User code of an output operation that runs in a task, for one partition of a batch.
struct PartitionIdentity {
  uint64_t job_instance = 0;
  uint32_t output = 0;
  int64_t batch_ms = 0;
  uint32_t partition = 0;
  uint64_t fence = 0;  // never goes back
};
class PartitionKernel {
 public:
  virtual ~PartitionKernel() = default;
  virtual void Run(const PartitionIdentity& identity, const BatchView& records) const = 0;
};

}  // namespace sluice
