// What an executor is working on, in memory that its daemon made: readable after the executor
// died, so that its end can be laid to the right task. Written by the executor's slots without
// a lock or a message; read once, when the daemon has reaped it.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/shm/mapping.h"

namespace sluice {

inline constexpr uint32_t kBoardSlots = 256;

struct BoardTask {
  int64_t batch_ms = 0;
  uint32_t stage = 0;
  uint32_t task = 0;
  uint64_t record = 0;  // that it is at, from 1; 0: not known
};

namespace internal {
struct alignas(64) BoardCell {
  std::atomic<uint32_t> running;
  uint32_t stage;
  uint32_t task;
  int64_t batch_ms;
  std::atomic<uint64_t> record;
};
inline constexpr uint64_t kBoardBytes = kBoardSlots * sizeof(BoardCell);
}  // namespace internal

// The daemon's side.
class TaskBoardHost {
 public:
  static absl::StatusOr<TaskBoardHost> Make();
  int fd() const { return fd_.get(); }
  std::vector<BoardTask> Running() const;

 private:
  UniqueFd fd_;
  Mapping mapping_;
};

// The executor's side. Begin and End of one slot come from one thread at a time. A board that was
// not attached takes everything and keeps nothing; so do slots beyond kBoardSlots.
class TaskBoard {
 public:
  static absl::StatusOr<TaskBoard> Attach(UniqueFd fd);
  void Begin(uint32_t slot, const BoardTask& task);
  void End(uint32_t slot);
  // Between the two.
  void At(uint32_t slot, uint64_t record);

 private:
  internal::BoardCell* cell(uint32_t slot) const;
  Mapping mapping_;
};

}  // namespace sluice
