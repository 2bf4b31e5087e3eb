// A local job that receives more than `block_memory` while no checkpoint lets blocks go.
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

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

bool HasBlocks(const std::filesystem::path& folder) {
  std::error_code none;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, none)) {
    if (entry.path().extension() == ".block") return true;
  }
  return false;
}

TEST(LocalSpillTest, WhatFindsNoRoomInMemoryGoesToTheSpillFolder) {
  const std::filesystem::path folder = testing::TempDir() + "spilled";
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
  // What is not in memory is written soon, and no checkpoint has let it go.
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!HasBlocks(folder) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(HasBlocks(folder));
  EXPECT_TRUE(ssc.Stop().ok());
  EXPECT_EQ(seen.bytes(), kRecords * kRecordBytes);
}

}  // namespace
}  // namespace sluice
