#include "worker/shm/task_board.h"

namespace sluice {

absl::StatusOr<TaskBoardHost> TaskBoardHost::Make() {
  auto fd = NewMemoryFile("sluice-tasks", internal::kBoardBytes);
  if (!fd.ok()) return fd.status();
  if (auto backed = Commit(fd->get(), 0, internal::kBoardBytes); !backed.ok()) return backed;
  auto mapping = Mapping::Map(fd->get(), internal::kBoardBytes, /*writable=*/false);
  if (!mapping.ok()) return mapping.status();
  TaskBoardHost host;
  host.fd_ = std::move(*fd);
  host.mapping_ = std::move(*mapping);
  return host;
}

std::vector<BoardTask> TaskBoardHost::Running() const {
  std::vector<BoardTask> running;
  const auto* cells = reinterpret_cast<const internal::BoardCell*>(mapping_.data());
  for (uint32_t i = 0; i < kBoardSlots; ++i) {
    if (cells[i].running.load(std::memory_order_acquire) == 0) continue;
    running.push_back({cells[i].batch_ms, cells[i].stage, cells[i].task,
                       cells[i].record.load(std::memory_order_relaxed)});
  }
  return running;
}

absl::StatusOr<TaskBoard> TaskBoard::Attach(UniqueFd fd) {
  auto mapping = Mapping::Map(fd.get(), internal::kBoardBytes, /*writable=*/true);
  if (!mapping.ok()) return mapping.status();
  TaskBoard board;
  board.mapping_ = std::move(*mapping);
  return board;
}

internal::BoardCell* TaskBoard::cell(uint32_t slot) const {
  if (mapping_.data() == nullptr || slot >= kBoardSlots) return nullptr;
  return reinterpret_cast<internal::BoardCell*>(mapping_.data()) + slot;
}

void TaskBoard::Begin(uint32_t slot, const BoardTask& task) {
  internal::BoardCell* cell = this->cell(slot);
  if (cell == nullptr) return;
  cell->batch_ms = task.batch_ms;
  cell->stage = task.stage;
  cell->task = task.task;
  cell->record.store(0, std::memory_order_relaxed);
  cell->running.store(1, std::memory_order_release);
}

void TaskBoard::At(uint32_t slot, uint64_t record) {
  if (internal::BoardCell* cell = this->cell(slot)) {
    cell->record.store(record, std::memory_order_release);
  }
}

void TaskBoard::End(uint32_t slot) {
  if (internal::BoardCell* cell = this->cell(slot)) {
    cell->running.store(0, std::memory_order_release);
  }
}

}  // namespace sluice
