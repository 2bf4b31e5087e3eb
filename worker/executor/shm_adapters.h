// What an executor process gets from its daemon by shared memory, as the executor wants it.
#pragma once

#include <memory>
#include <utility>

#include "worker/executor/transport_block_reader.h"
#include "worker/shm/fd_client.h"
#include "worker/shm/task_board.h"

namespace sluice {

// Maps blocks that the node holds. `client` outlives all that is read. A block that cannot be
// mapped, whatever the reason, is fetched by message.
TransportBlockReader::LocalBlocks MappedBlocksOf(FdClient* client);

class ShmTaskBoard : public RunningTaskBoard {
 public:
  explicit ShmTaskBoard(TaskBoard board) : board_(std::move(board)) {}
  void Begin(uint32_t slot, int64_t batch_ms, uint32_t stage, uint32_t task) override {
    board_.Begin(slot, {batch_ms, stage, task});
  }
  void End(uint32_t slot) override { board_.End(slot); }
  void At(uint32_t slot, uint64_t record) override { board_.At(slot, record); }

 private:
  TaskBoard board_;
};

}  // namespace sluice
