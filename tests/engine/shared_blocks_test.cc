// A received block from the receiver's arena to a task, through real shared memory: copied once
// when it is sealed, never when a task reads it, out of reach of the executor that wrote it, and
// gone with the daemon, however that ends.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>

#include "common/crc32c.h"
#include "worker/daemon/block_store.h"
#include "worker/executor/shm_adapters.h"
#include "worker/executor/task_input.h"
#include "worker/shm/arena.h"
#include "worker/shm/fd_client.h"
#include "worker/shm/fd_server.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr BlockKey kBlock{.job_instance = 1, .incarnation = 3, .number = 4, .stream = 2};
constexpr uint32_t kRecords = 500;

// The memory of a daemon: its blocks, and the arena of its one executor.
class Daemon : public FdSource {
 public:
  explicit Daemon(const std::string& socket)
      : arena_(*ArenaHost::Make({.slices = 2, .slice_bytes = 64 << 10})) {
    BlockStore::Options options;
    options.memory_max = 1 << 20;
    store_ = *BlockStore::Open(options);
    server_ = *FdServer::Start(socket, this);
  }
  ~Daemon() override { server_.reset(); }

  std::optional<Executor> Identify(int64_t) override {
    return Executor{kBlock.job_instance, arena_.fd(), arena_.shape(), -1};
  }
  Found Pin(const BlockKey& key, MappableBlock* block) override { return store_->Pin(key, block); }
  void Unpin(const BlockKey& key) override { store_->Unpin(key); }

  ArenaHost& arena() { return arena_; }
  BlockStore& store() { return *store_; }
  BlockStore::Sealed Seal(uint64_t offset) {
    return *store_->Seal(kBlock, *arena_.View(offset, kRecords));
  }

 private:
  ArenaHost arena_;
  std::unique_ptr<BlockStore> store_;
  std::unique_ptr<FdServer> server_;
};

// An executor's reader that knows only what it can map, and remembers where that was.
class MappingReader : public BlockReader {
 public:
  explicit MappingReader(FdClient* client) : map_(MappedBlocksOf(client)) {}
  absl::StatusOr<std::unique_ptr<BlockBytes>> Read(
      const proto::BlockInfo& block, const proto::GrantedBatch::Holders&) override {
    std::unique_ptr<BlockBytes> bytes = map_(block);
    if (bytes == nullptr) return absl::UnavailableError("not mapped");
    mapped = bytes->bytes();
    return bytes;
  }
  std::string_view mapped;

 private:
  TransportBlockReader::LocalBlocks map_;
};

std::string RecordAt(uint32_t i) { return "record " + std::to_string(i); }

class SharedBlocksTest : public testing::Test {
 protected:
  SharedBlocksTest()
      : socket_(fs::temp_directory_path() / ("sluice-blocks-" + std::to_string(getpid()))) {}

  // What a receiver executor does before it asks for a seal.
  static uint64_t FillSlice(ArenaWriter& writer) {
    auto slice = writer.Open({.stream = kBlock.stream, .incarnation = kBlock.incarnation});
    for (uint32_t i = 0; i < kRecords; ++i) EXPECT_TRUE(slice->Append(RecordAt(i)));
    return slice->offset();
  }
  static proto::GrantedBatch::Task TaskOf(const BlockStore::Sealed& sealed) {
    proto::GrantedBatch::Task task;
    auto& block = *task.add_pieces()->mutable_block();
    block.mutable_name()->set_job_instance(kBlock.job_instance);
    block.mutable_name()->set_stream(kBlock.stream);
    block.mutable_name()->set_incarnation(kBlock.incarnation);
    block.mutable_name()->set_number(kBlock.number);
    block.set_records(sealed.records);
    block.set_bytes(sealed.bytes);
    block.set_crc32c(sealed.crc32c);
    return task;
  }

  const std::string socket_;
};

TEST_F(SharedBlocksTest, OneCopyAtTheSealAndNoneWhenATaskReads) {
  Daemon daemon(socket_);
  auto client = *FdClient::Connect(socket_);
  ArenaWriter writer = *client->AttachArena();
  const BlockStore::Sealed sealed = daemon.Seal(FillSlice(writer));
  MappingReader reader(client.get());
  TaskInputReader input;
  for (int task = 0; task < 10; ++task) {
    ASSERT_TRUE(input.ReadPieces(TaskOf(sealed), Node(), &reader).ok());
    ASSERT_EQ(input.views().size(), 1u);
    const BatchView& records = input.views()[0];
    // The records that the kernels run over lie in the daemon's memory, as it was mapped.
    EXPECT_GE(records.data, reader.mapped.data());
    EXPECT_LE(records.data + records.size, reader.mapped.data() + reader.mapped.size());
    EXPECT_EQ(records.record(kRecords - 1), RecordAt(kRecords - 1));
    input.Clear();
  }
  EXPECT_EQ(client->segments_mapped(), 1u);
  EXPECT_EQ(daemon.store().counters().seal_copies, 1u);
  EXPECT_EQ(daemon.store().counters().read_copies, 0u);
}

// The arena is the one thing that an executor may write. Returns what it could not do.
int SpoilArena(int fd, const ArenaShape& shape, uint64_t offset) {
  if (::ftruncate(fd, 0) == 0) return 1;
  if (::ftruncate(fd, static_cast<off_t>(shape.total_bytes() * 2)) == 0) return 2;
  const auto at = static_cast<off_t>(offset);
  if (::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 8192) != 0) return 3;
  const std::string evil(4096, 'e');
  if (::pwrite(fd, evil.data(), evil.size(), at) != static_cast<ssize_t>(evil.size())) return 4;
  return 0;
}

TEST_F(SharedBlocksTest, WhatAnExecutorDoesToItsArenaAfterTheSealChangesNoBlock) {
  Daemon daemon(socket_);
  ArenaWriter writer =
      *ArenaWriter::Attach(UniqueFd(::dup(daemon.arena().fd())), daemon.arena().shape());
  const uint64_t offset = FillSlice(writer);
  const BlockStore::Sealed sealed = daemon.Seal(offset);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(SpoilArena(daemon.arena().fd(), daemon.arena().shape(), offset));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  ASSERT_EQ(WEXITSTATUS(status), 0) << "an arena may be written and punched, never resized";
  EXPECT_NE(daemon.arena().View(offset, kRecords)->record(0), RecordAt(0)) << "nothing was spoiled";

  auto client = *FdClient::Connect(socket_);
  MappingReader reader(client.get());
  TaskInputReader input;
  ASSERT_TRUE(input.ReadPieces(TaskOf(sealed), Node(), &reader).ok());
  EXPECT_EQ(Crc32c(reader.mapped), sealed.crc32c);
  for (uint32_t i = 0; i < kRecords; ++i) ASSERT_EQ(input.views()[0].record(i), RecordAt(i));
}

std::set<std::string> NamesIn(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename();
    if (name.find("sluice") != std::string::npos) names.insert(name);
  }
  return names;
}

TEST_F(SharedBlocksTest, ADaemonThatIsKilledLeavesNoMemoryBehindByName) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const std::set<std::string> before = NamesIn("/dev/shm");
  const pid_t child = ::fork();
  if (child == 0) {
    Daemon daemon(socket_);
    ArenaWriter writer =
        *ArenaWriter::Attach(UniqueFd(::dup(daemon.arena().fd())), daemon.arena().shape());
    daemon.Seal(FillSlice(writer));
    if (::write(ready[1], "r", 1) != 1) ::_exit(1);
    ::pause();
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  // All that it shares has no name while it lives either.
  std::ifstream maps("/proc/" + std::to_string(child) + "/maps");
  int shared = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" rw-s ") == std::string::npos && line.find(" r--s ") == std::string::npos) {
      continue;
    }
    ++shared;
    EXPECT_NE(line.find("/memfd:"), std::string::npos) << line;
  }
  EXPECT_GE(shared, 2) << "the arena and the blocks";
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(NamesIn("/dev/shm"), before);
  ::close(ready[0]);
  ::close(ready[1]);
  fs::remove(socket_);
}

}  // namespace
}  // namespace sluice
