#include "worker/daemon/received_log.h"

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <vector>

#include "checkpoint/memory_object_store.h"
#include "checkpoint/received_objects.h"
#include "common/crc32c.h"
#include "gtest/gtest.h"
#include "worker/daemon/block_names.h"
#include "worker/daemon/store_blocks.h"

namespace sluice {
namespace {

constexpr uint64_t kJob = 7;
const BlockKey kKey{.job_instance = kJob, .incarnation = 5, .number = 1, .stream = 2};

// Shares one store with its maker.
class Shared : public ObjectStore {
 public:
  explicit Shared(MemoryObjectStore* store) : store_(store) {}
  absl::Status PutIfAbsent(const std::string& name, std::string_view bytes) override {
    return store_->PutIfAbsent(name, bytes);
  }
  absl::Status PutFileIfAbsent(const std::string& name, const std::string& path) override {
    return store_->PutFileIfAbsent(name, path);
  }
  absl::StatusOr<std::string> Get(const std::string& name) override { return store_->Get(name); }
  absl::StatusOr<std::vector<ObjectInfo>> List(const std::string& prefix) override {
    return store_->List(prefix);
  }
  absl::Status Delete(const std::string& name) override { return store_->Delete(name); }
  std::string Where() const override { return store_->Where(); }

 private:
  MemoryObjectStore* const store_;
};

class ReceivedLogTest : public testing::Test {
 protected:
  ReceivedLogTest()
      : blocks_(OnHeap()),
        log_(blocks_.get(),
             [this](const std::string&) -> absl::StatusOr<std::unique_ptr<ObjectStore>> {
               if (!opens_.ok()) return opens_;
               return std::make_unique<Shared>(&objects_);
             },
             [this](worker::Event event) {
               std::lock_guard lock(mutex_);
               events_.push_back(std::move(event));
               came_.notify_all();
             }) {}

  static std::unique_ptr<BlockStore> OnHeap() {
    BlockStore::Options options;
    options.shared = false;
    return *BlockStore::Open(options);
  }
  template <typename T>
  T Await() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [this] { return !events_.empty(); });
    const T event = std::get<T>(events_.front());
    events_.pop_front();
    return event;
  }
  void Mark() { ASSERT_TRUE(objects_.PutIfAbsent(JobMark(kJob), "job").ok()); }
  static std::string Batch() {
    std::string encoded;
    const uint32_t ends[] = {3, 5};
    EncodeBatch({"abcde", 5, ends, 2}, encoded);
    return encoded;
  }
  proto::BlockInfo Keep() {
    proto::BlockInfo info;
    *info.mutable_name() = NameOf(kKey);
    std::string batch = Batch();
    info.set_bytes(batch.size());
    EXPECT_TRUE(blocks_->SealEncoded(kKey, &batch).ok());
    return info;
  }
  std::string Object() const { return ObjectOf(ReceivedName{kJob, 2, 5, 1}); }

  MemoryObjectStore objects_;
  absl::Status opens_;
  std::unique_ptr<BlockStore> blocks_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<worker::Event> events_;
  ReceivedLog log_;
};

TEST_F(ReceivedLogTest, ABlockIsWrittenAndReadBackByAnotherNode) {
  Mark();
  const proto::BlockInfo info = Keep();
  log_.Do(worker::LogBlock{kKey, "url"});
  EXPECT_EQ(Await<worker::BlockLogged>().error, "");
  blocks_->Drop(kKey);
  log_.Do(worker::ReadLogged{info, "url"});
  const auto read = Await<worker::LoggedRead>();
  EXPECT_TRUE(read.ok) << read.error;
  EXPECT_EQ(blocks_->Read(kKey)->bytes(), Batch());
}

// A local job that was killed and started again could read none of what it had received.
TEST_F(ReceivedLogTest, ABlockLoggedWithoutAChecksumIsReadInPlaceWhenItIsBack) {
  Mark();
  const proto::BlockInfo info = Keep();
  ASSERT_EQ(info.crc32c(), 0u);
  log_.Do(worker::LogBlock{kKey, "url"});
  EXPECT_EQ(Await<worker::BlockLogged>().error, "");
  blocks_->Drop(kKey);
  log_.Do(worker::ReadLogged{info, "url"});
  EXPECT_TRUE(Await<worker::LoggedRead>().ok);
  const auto read = BlocksOfStore(blocks_.get())(info);
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->bytes(), Batch());
}

TEST_F(ReceivedLogTest, ABlockThatIsThereAlreadyIsLogged) {
  Mark();
  Keep();
  for (int i = 0; i < 2; ++i) {
    log_.Do(worker::LogBlock{kKey, "url"});
    EXPECT_EQ(Await<worker::BlockLogged>().error, "");
  }
}

TEST_F(ReceivedLogTest, ADirectoryThatIsNotTheJobsStoreTakesNothing) {
  Keep();
  log_.Do(worker::LogBlock{kKey, "url"});
  EXPECT_NE(Await<worker::BlockLogged>().error.find("mounted here?"), std::string::npos);
  EXPECT_TRUE(absl::IsNotFound(objects_.Get(Object()).status()));
}

TEST_F(ReceivedLogTest, AStoreThatIsAwayIsAnErrorThatPasses) {
  Mark();
  const proto::BlockInfo info = Keep();
  objects_.SetFaults({.fail_puts = 1});
  log_.Do(worker::LogBlock{kKey, "url"});
  EXPECT_NE(Await<worker::BlockLogged>().error, "");
  log_.Do(worker::LogBlock{kKey, "url"});
  EXPECT_EQ(Await<worker::BlockLogged>().error, "");
  blocks_->Drop(kKey);
  objects_.SetFaults({.fail_gets = 1});
  log_.Do(worker::ReadLogged{info, "url"});
  const auto read = Await<worker::LoggedRead>();
  EXPECT_FALSE(read.ok);
  EXPECT_FALSE(read.gone);
}

// With a checksum of its own, under which nobody would have found it.
TEST_F(ReceivedLogTest, WhatIsDamagedInMemoryIsNotWrittenToTheStore) {
  Mark();
  ASSERT_TRUE(blocks_->PutCopy(kKey, "bytes", Crc32c("bytes")).ok());
  const_cast<char*>(blocks_->Read(kKey)->bytes().data())[1] ^= 1;
  log_.Do(worker::LogBlock{kKey, "url"});
  EXPECT_TRUE(Await<worker::CopyUnreadable>().damaged);
  EXPECT_NE(Await<worker::BlockLogged>().error, "");
  EXPECT_FALSE(objects_.Get(Object()).ok());
}

// It was tried again for ever, and nothing behind it was announced.
TEST(ReceivedLogDiskTest, ABlockThatIsDamagedOnDiskIsSaidToBe) {
  const auto dir = std::filesystem::path(testing::TempDir()) / "received-log-spilled";
  BlockStore::Options options;
  options.shared = false;
  options.memory_max = 1;
  options.spill_dir = dir;
  const auto blocks = *BlockStore::Open(options);
  for (uint64_t number = 1; number <= 2; ++number) {  // one may stay in memory
    BlockKey key = kKey;
    key.number = number;
    ASSERT_TRUE(blocks->PutCopy(key, "bytes", Crc32c("bytes")).ok());
  }
  blocks->AwaitDisk();
  for (const auto& file : std::filesystem::directory_iterator(dir)) {
    std::ofstream(file.path()) << "other";
  }
  MemoryObjectStore objects;
  ASSERT_TRUE(objects.PutIfAbsent(JobMark(kJob), "job").ok());
  std::vector<std::promise<worker::Event>> events(4);
  size_t next = 0;
  ReceivedLog log(
      blocks.get(), [&](const std::string&) { return std::make_unique<Shared>(&objects); },
      [&](worker::Event event) { events[next++].set_value(std::move(event)); });
  const auto failed = [&](size_t event) {
    return std::get<worker::BlockLogged>(events[event].get_future().get()).error != "";
  };
  for (size_t time = 0; time < 2; ++time) {  // it may have been the disk
    log.Do(worker::LogBlock{kKey, "url"});
    EXPECT_TRUE(failed(time));
  }
  log.Do(worker::LogBlock{kKey, "url"});
  const worker::Event damaged = events[2].get_future().get();
  EXPECT_TRUE(std::get<worker::CopyUnreadable>(damaged).damaged);
  EXPECT_TRUE(failed(3));
}

TEST_F(ReceivedLogTest, AMissingAndADamagedObjectAreGone) {
  Mark();
  const proto::BlockInfo info = Keep();
  blocks_->Drop(kKey);
  log_.Do(worker::ReadLogged{info, "url"});
  EXPECT_TRUE(Await<worker::LoggedRead>().gone);
  ASSERT_TRUE(objects_.PutIfAbsent(Object(), EncodeReceived(Batch())).ok());
  ASSERT_TRUE(objects_.FlipBit(Object(), 3));
  log_.Do(worker::ReadLogged{info, "url"});
  const auto read = Await<worker::LoggedRead>();
  EXPECT_TRUE(read.gone);
  EXPECT_NE(read.error.find("checksum"), std::string::npos) << read.error;
}

TEST_F(ReceivedLogTest, AStoreThatIsNoLongerTheJobsHasLostNothing) {
  Mark();
  const proto::BlockInfo info = Keep();
  log_.Do(worker::LogBlock{kKey, "url"});
  EXPECT_EQ(Await<worker::BlockLogged>().error, "");
  blocks_->Drop(kKey);
  ASSERT_TRUE(objects_.Delete(JobMark(kJob)).ok());  // as when it is unmounted
  ASSERT_TRUE(objects_.Delete(Object()).ok());
  log_.Do(worker::ReadLogged{info, "url"});
  const auto read = Await<worker::LoggedRead>();
  EXPECT_FALSE(read.ok);
  EXPECT_FALSE(read.gone);
}

TEST_F(ReceivedLogTest, AStoreThatIsNotMountedHereHasLostNothing) {
  const proto::BlockInfo info = Keep();
  blocks_->Drop(kKey);
  opens_ = absl::NotFoundError("no such directory: is it mounted here?");
  log_.Do(worker::ReadLogged{info, "url"});
  const auto read = Await<worker::LoggedRead>();
  EXPECT_FALSE(read.ok);
  EXPECT_FALSE(read.gone);
}

TEST_F(ReceivedLogTest, ABlockOfAnotherSizeThanWasLoggedIsGone) {
  Mark();
  proto::BlockInfo info = Keep();
  log_.Do(worker::LogBlock{kKey, "url"});
  Await<worker::BlockLogged>();
  blocks_->Drop(kKey);
  info.set_bytes(info.bytes() - 1);
  log_.Do(worker::ReadLogged{info, "url"});
  EXPECT_TRUE(Await<worker::LoggedRead>().gone);
}

}  // namespace
}  // namespace sluice
