// Options of operators, to be written with designated initialisers.
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "driver/api/partitioner.h"

namespace sluice {

struct ShuffleOptions {
  uint32_t partitions = 0;  // 0: the job's `partitions`
  Partitioner partitioner{};
};

struct SortOptions {
  bool descending = false;
  uint32_t partitions = 0;  // 0: the job's `partitions`
};

struct CombineOptions {
  uint32_t partitions = 0;  // 0: the job's `partitions`
  bool map_side = true;     // combine in the map task before anything is sent
  Partitioner partitioner{};
};

struct WindowOptions {
  std::chrono::milliseconds length{0};
  std::chrono::milliseconds slide{0};  // 0: the stream's own slide
  // 0: the job's `partitions`. Without effect on ReduceByWindow and CountByWindow, which give one
  // record and always have one partition.
  uint32_t partitions = 0;
  Partitioner partitioner{};  // of the forms that go by key
};

// kCall: the update function runs for every key at every batch. kSkip: for keys with new values
// only, and only those are emitted.
enum class IdleKeys { kCall, kSkip };

// An initial state counts where no checkpoint has a state of that name; of two entries of one key
// the later. It must be the same in every process: what is read or computed goes through Constant.
template <class K, class S>
struct StateOptions {
  IdleKeys idle_keys = IdleKeys::kCall;
  uint32_t partitions = 0;  // 0: the job's `partitions`
  std::vector<std::pair<K, S>> initial_state{};
  Partitioner partitioner{};
};

template <class K, class S>
struct MapWithStateOptions {
  std::chrono::milliseconds idle_timeout{0};  // 0: never; a change counts from the next touch on
  uint32_t partitions = 0;                    // 0: the job's `partitions`
  std::vector<std::pair<K, S>> initial_state{};
  Partitioner partitioner{};
};

// Ends of a slice before the batch at hand, both included; 0s is that batch itself.
struct SliceOptions {
  std::chrono::milliseconds from{0};
  std::chrono::milliseconds to{0};
  uint32_t partitions = 0;  // 0: the job's `partitions`
};

// Ends of a slice in milliseconds since the epoch, both included.
struct SliceTimes {
  int64_t from_ms = 0;
  int64_t to_ms = 0;
};

struct SaveOptions {
  bool overwrite = false;  // replace a batch that another job left there
  // Not 0: what batches save is gathered until there is so much of it, and appears as one file
  // `prefix-FIRSTMS-LASTMS-JOB[.suffix]` (docs/file_outputs.md).
  uint64_t roll_bytes = 0;
  // Then no record waits much longer than this, as batch times tell it.
  std::chrono::milliseconds roll_after = std::chrono::minutes(1);
};

// What a stream of files does with those that are there when the job first starts.
enum class Existing { kTake, kIgnore };

struct FileOptions {
  Existing existing = Existing::kTake;
};

}  // namespace sluice
