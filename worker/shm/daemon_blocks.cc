#include "worker/shm/daemon_blocks.h"

#include <utility>

namespace sluice {
namespace {

class MappedBytes : public BlockBytes {
 public:
  explicit MappedBytes(MappedBlock block) : block_(std::move(block)) {}
  std::string_view bytes() const override { return block_.bytes(); }

 private:
  const MappedBlock block_;
};

class DaemonBoard : public RunningTaskBoard {
 public:
  explicit DaemonBoard(TaskBoard board) : board_(std::move(board)) {}
  void Begin(uint32_t slot, int64_t batch_ms, uint32_t stage, uint32_t task) override {
    board_.Begin(slot, {batch_ms, stage, task});
  }
  void End(uint32_t slot) override { board_.End(slot); }
  void At(uint32_t slot, uint64_t record) override { board_.At(slot, record); }

 private:
  TaskBoard board_;
};

}  // namespace

std::function<std::unique_ptr<BlockBytes>(const proto::BlockInfo& block)> BlocksOfDaemon(
    FdClient* client) {
  return [client](const proto::BlockInfo& block) -> std::unique_ptr<BlockBytes> {
    const proto::BlockName& name = block.name();
    auto mapped = client->MapBlock({.job_instance = name.job_instance(),
                                    .incarnation = name.incarnation(),
                                    .number = name.number(),
                                    .stream = name.stream()});
    if (!mapped.ok()) return nullptr;
    // Checked when it was sealed, and nobody can have changed it since.
    const bool same =
        mapped->bytes().size() == block.bytes() && mapped->crc32c() == block.crc32c();
    return same ? std::make_unique<MappedBytes>(std::move(*mapped)) : nullptr;
  };
}

std::unique_ptr<RunningTaskBoard> BoardOfDaemon(TaskBoard board) {
  return std::make_unique<DaemonBoard>(std::move(board));
}

}  // namespace sluice
