// A local job that receives more than `block_memory` while no checkpoint lets blocks go.
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>

#include <gtest/gtest.h>

#include "sluice/runner_install.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr int kRecords = 128;
constexpr size_t kRecordBytes = 64 << 10;

class Large : public Receiver<std::string> {
 public:
  void Run(Receiving<std::string>& receiving) override {
    const std::string record(kRecordBytes, 'x');
    for (int i = 0; i < kRecords && !receiving.stopping(); ++i) receiving.Store(record);
    receiving.WaitStopping(60'000);
  }
};

class Seen {
 public:
  void Add(size_t bytes) {
    std::lock_guard lock(mutex_);
    bytes_ += bytes;
    changed_.notify_all();
  }
  void Await(size_t bytes) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return bytes_ >= bytes; });
  }
  size_t bytes() {
    std::lock_guard lock(mutex_);
    return bytes_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t bytes_ = 0;
};

TEST(LocalSpillTest, WhatFindsNoRoomInMemoryGoesToTheSpillFolder) {
  const std::filesystem::path folder =
      testing::TempDir() + "spilled-" + std::to_string(getpid());
  {
    StreamingContext ssc({.name = "large",
                          .batch_interval = 50ms,
                          .conf = {{"block_memory", "1MiB"},
                                   {"spill_dir", folder},
                                   {"checkpoint_interval", "1h"}}});
    Seen seen;
    ssc.ReceiverStream(Large()).ForeachBatch([&](const Batch<std::string>& batch) {
      batch.ForEach([&](std::string_view record) { seen.Add(record.size()); });
    });
    const Outcome started = ssc.Start();
    ASSERT_TRUE(started.ok()) << started.message;
    seen.Await(kRecords * kRecordBytes);
    EXPECT_FALSE(std::filesystem::is_empty(folder));
    EXPECT_TRUE(ssc.Stop().ok());
    EXPECT_EQ(seen.bytes(), kRecords * kRecordBytes);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove(folder);
}

}  // namespace
}  // namespace sluice
