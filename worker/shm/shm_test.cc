// What other processes can and cannot do with the memory that the daemon shares.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>

#include "worker/shm/arena.h"
#include "worker/shm/block_memory.h"
#include "worker/shm/fd_client.h"
#include "worker/shm/fd_server.h"
#include "worker/shm/fd_socket.h"
#include "worker/shm/task_board.h"

namespace sluice {
namespace {

// The same in children.
const std::string& SocketPath() {
  static const std::string* const path = new std::string(
      std::filesystem::temp_directory_path() / ("sluice-shm-" + std::to_string(::getpid())));
  return *path;
}

TEST(BlockMemoryTest, ReusesTheLowestRunAndJoinsNeighbours) {
  BlockMemory memory(1 << 20);
  auto a = memory.Allocate(100'000), b = memory.Allocate(100'000), c = memory.Allocate(100'000);
  ASSERT_TRUE(a.ok() && b.ok() && c.ok());
  const uint64_t before = memory.committed_bytes();
  memory.Free(*a);
  memory.Free(*b);
  auto d = memory.Allocate(190'000);
  ASSERT_TRUE(d.ok());
  EXPECT_EQ(d->offset, 0u);
  EXPECT_EQ(d->segment, c->segment);
  EXPECT_EQ(memory.committed_bytes(), before);
}

TEST(BlockMemoryTest, BacksOnlyWhatIsUsed) {
  BlockMemory memory(64 << 20);
  ASSERT_TRUE(memory.Allocate(1000).ok());
  EXPECT_LE(memory.committed_bytes(), 1u << 20);
}

TEST(BlockMemoryTest, ALargeBlockHasASegmentOfItsOwnThatGoesWithIt) {
  BlockMemory memory(1 << 20);
  auto large = memory.Allocate(3 << 20);
  ASSERT_TRUE(large.ok());
  EXPECT_TRUE(memory.segment(large->segment)->dedicated);
  memory.data(*large)[(3 << 20) - 1] = 'x';
  memory.Free(*large);
  EXPECT_FALSE(memory.segment(large->segment).has_value());
  EXPECT_EQ(memory.committed_bytes(), 0u);
}

TEST(ArenaTest, RecordsAreVisibleToTheDaemonAsSoonAsTheyAreWhole) {
  auto host = ArenaHost::Make({.slices = 2, .slice_bytes = 4096});
  ASSERT_TRUE(host.ok());
  auto writer = ArenaWriter::Attach(UniqueFd(::dup(host->fd())), host->shape());
  ASSERT_TRUE(writer.ok());
  auto slice = writer->Open({.stream = 3, .incarnation = 77});
  ASSERT_TRUE(slice.has_value());
  ASSERT_TRUE(slice->Append("one"));
  ASSERT_TRUE(slice->Append(""));
  ASSERT_TRUE(slice->Append("three"));
  auto left = host->Left();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].records, 3u);
  EXPECT_EQ(left[0].incarnation, 77u);
  auto view = host->View(left[0].offset, left[0].records);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->record(0), "one");
  EXPECT_EQ(view->record(2), "three");
}

TEST(ArenaTest, ASliceThatIsFreedLastIsUsedFirst) {
  auto host = ArenaHost::Make({.slices = 3, .slice_bytes = 4096});
  auto writer = ArenaWriter::Attach(UniqueFd(::dup(host->fd())), host->shape());
  auto a = writer->Open({}), b = writer->Open({}), c = writer->Open({});
  EXPECT_FALSE(writer->Open({}).has_value());
  writer->Free(b->offset());
  writer->Free(b->offset());
  writer->Free(12345);
  EXPECT_EQ(writer->free_slices(), 1u);
  EXPECT_EQ(writer->Open({})->offset(), b->offset());
}

TEST(ArenaTest, AFullSliceTakesNothingMore) {
  auto host = ArenaHost::Make({.slices = 1, .slice_bytes = 4096});
  auto writer = ArenaWriter::Attach(UniqueFd(::dup(host->fd())), host->shape());
  auto slice = writer->Open({});
  uint32_t taken = 0;
  while (slice->Append("x")) ++taken;
  EXPECT_EQ(taken, host->shape().records_max());
  EXPECT_FALSE(slice->Append(std::string(10'000, 'y')));
  EXPECT_EQ(slice->records(), taken);
}

TEST(ArenaTest, LyingHeadersNameNothingOutsideOfTheSlice) {
  auto host = ArenaHost::Make({.slices = 2, .slice_bytes = 4096});
  auto mapping = Mapping::Map(host->fd(), host->shape().total_bytes(), true);
  const uint64_t offset = host->shape().slice_offset(0);
  const uint32_t far = 1u << 30;
  std::memcpy(mapping->data() + offset + host->shape().bytes_max(), &far, sizeof(far));
  EXPECT_FALSE(host->View(offset, 1).has_value());
  EXPECT_FALSE(host->View(offset, 1u << 31).has_value());
  EXPECT_FALSE(host->View(offset + 8, 0).has_value());
  EXPECT_FALSE(host->View(0, 0).has_value());
  EXPECT_FALSE(host->View(uint64_t{1} << 60, 0).has_value());
}

// Serves one block and one arena to every process that connects.
class OneBlock : public FdSource {
 public:
  OneBlock() : memory_(1 << 20), arena_(*ArenaHost::Make({.slices = 1, .slice_bytes = 4096})),
               board_(*TaskBoardHost::Make()) {
    extent_ = *memory_.Allocate(5000);
    std::memset(memory_.data(extent_), 'b', 5000);
  }
  std::optional<Executor> Identify(int64_t) override {
    return Executor{1, arena_.fd(), arena_.shape(), board_.fd()};
  }
  Found Pin(const BlockKey& key, MappableBlock* block) override {
    if (key.number == 2) return Found::kElsewhere;
    if (key.number != 1) return Found::kNotFound;
    block->extent = extent_;
    block->segment = *memory_.segment(extent_.segment);
    block->crc32c = 42;
    std::lock_guard lock(mutex_);
    ++pins_;
    return Found::kMapped;
  }
  void Unpin(const BlockKey&) override {
    std::lock_guard lock(mutex_);
    --pins_;
    changed_.notify_all();
  }
  void AwaitNoPins() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return pins_ == 0; });
  }
  bool Unharmed() {
    for (uint64_t i = 0; i < 5000; ++i) {
      if (memory_.data(extent_)[i] != 'b') return false;
    }
    return true;
  }
  BlockMemory memory_;
  ArenaHost arena_;
  TaskBoardHost board_;

 private:
  Extent extent_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int pins_ = 0;
};

class FdTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server = FdServer::Start(SocketPath(), &source_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
  }
  OneBlock source_;
  std::unique_ptr<FdServer> server_;
};

TEST_F(FdTest, MapsABlockAndSendsItsSegmentOnce) {
  auto client = FdClient::Connect(SocketPath());
  ASSERT_TRUE(client.ok()) << client.status();
  for (int i = 0; i < 3; ++i) {
    auto block = (*client)->MapBlock({.job_instance = 1, .number = 1});
    ASSERT_TRUE(block.ok()) << block.status();
    EXPECT_EQ(block->bytes(), std::string(5000, 'b'));
    EXPECT_EQ(block->crc32c(), 42u);
  }
  EXPECT_EQ((*client)->segments_mapped(), 1u);
  source_.AwaitNoPins();
}

TEST_F(FdTest, RefusesOtherJobsAndNamesWhatIsNotHere) {
  auto client = FdClient::Connect(SocketPath());
  EXPECT_TRUE(absl::IsPermissionDenied(
      (*client)->MapBlock({.job_instance = 9, .number = 1}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      (*client)->MapBlock({.job_instance = 1, .number = 2}).status()));
  EXPECT_TRUE(absl::IsNotFound((*client)->MapBlock({.job_instance = 1, .number = 3}).status()));
}

TEST_F(FdTest, PinsEndWithTheConnection) {
  {
    auto client = FdClient::Connect(SocketPath());
    auto block = (*client)->MapBlock({.job_instance = 1, .number = 1});
    ASSERT_TRUE(block.ok());
    [[maybe_unused]] auto* leaked = new MappedBlock(std::move(*block));
    __asm__ volatile("" : : "r"(leaked) : "memory");
    client->reset();
    ::operator delete(leaked);
  }
  source_.AwaitNoPins();
}

TEST_F(FdTest, ArenaAndBoardAreShared) {
  auto client = FdClient::Connect(SocketPath());
  auto writer = (*client)->AttachArena();
  ASSERT_TRUE(writer.ok()) << writer.status();
  auto slice = writer->Open({.stream = 1});
  ASSERT_TRUE(slice->Append("shared"));
  ASSERT_EQ(source_.arena_.Left().size(), 1u);
  auto board = (*client)->AttachBoard();
  ASSERT_TRUE(board.ok()) << board.status();
  board->Begin(3, {1000, 2, 7});
  ASSERT_EQ(source_.board_.Running().size(), 1u);
  EXPECT_EQ(source_.board_.Running()[0].task, 7u);
  board->End(3);
  EXPECT_TRUE(source_.board_.Running().empty());
}

int64_t CpuUs() {
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 + usage.ru_utime.tv_usec +
         usage.ru_stime.tv_usec;
}

// Asked again at once, a listener took a whole core.
TEST_F(FdTest, WithoutDescriptorsTheServerRestsAndServesLater) {
  sockaddr_un address{};
  UniqueFd directory;
  ASSERT_TRUE(internal::FillAddress(SocketPath(), &address, &directory));
  const UniqueFd waiting(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // It took the lowest number that was free.
  const rlimit none = {static_cast<rlim_t>(waiting.get() + 1), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const int connected =
      ::connect(waiting.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
  const int64_t used = CpuUs();
  ::poll(nullptr, 0, 500);
  EXPECT_LT(CpuUs() - used, 20'000) << "of 500 ms";
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_EQ(connected, 0);
  auto client = FdClient::Connect(SocketPath());
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_TRUE((*client)->AttachArena().ok());
}

TEST_F(FdTest, ASocketLeftByAKilledDaemonIsReplaced) {
  server_.reset();
  const pid_t child = ::fork();
  if (child == 0) {
    OneBlock source;
    auto server = FdServer::Start(SocketPath(), &source);
    ::kill(::getpid(), SIGKILL);
  }
  int status;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(std::filesystem::exists(SocketPath()));
  auto server = FdServer::Start(SocketPath(), &source_);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(FdClient::Connect(SocketPath()).ok());
}

// Everything that an executor could try on a mapped block. Each way must fail; returns how many
// did not.
int Attack(const char* mapped, size_t bytes) {
  int successes = 0, files = 0;
  void* page = const_cast<char*>(mapped);
  if (::mprotect(page, bytes, PROT_READ | PROT_WRITE) == 0) ++successes;
  if (::madvise(page, 4096, MADV_REMOVE) == 0) ++successes;
  for (int fd = 3; fd < 256; ++fd) {
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_FUTURE_WRITE) == 0) continue;
    ++files;
    const std::string again = "/proc/self/fd/" + std::to_string(fd);
    const int opened = ::open(again.c_str(), O_RDWR);
    for (int f : {fd, opened}) {
      if (f < 0) continue;
      if (::pwrite(f, "evil", 4, 0) > 0) ++successes;
      if (::ftruncate(f, 0) == 0) ++successes;
      if (::ftruncate(f, 1 << 30) == 0) ++successes;
      if (::fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0) ++successes;
      if (::fallocate(f, FALLOC_FL_ZERO_RANGE, 0, 4096) == 0) ++successes;
      if (::fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) == 0) ++successes;
      void* writable = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
      if (writable != MAP_FAILED) {
        ++successes;
        std::memset(writable, 'e', 4096);
      }
    }
  }
  return files == 0 ? 100 : successes;
}

TEST_F(FdTest, AnExecutorThatWritesTruncatesOrPunchesChangesNothing) {
  const pid_t child = ::fork();
  if (child == 0) {
    // The segment's descriptor is inherited here, as if it had been kept when it came.
    auto client = FdClient::Connect(SocketPath());
    if (!client.ok()) ::_exit(101);
    auto block = (*client)->MapBlock({.job_instance = 1, .number = 1});
    if (!block.ok()) ::_exit(102);
    const int successes = Attack(block->bytes().data(), 4096);
    if (successes != 0) ::_exit(successes);
    const_cast<char*>(block->bytes().data())[0] = 'e';  // SIGSEGV
    ::_exit(103);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
  EXPECT_TRUE(source_.Unharmed());
}

}  // namespace
}  // namespace sluice
