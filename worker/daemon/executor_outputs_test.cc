#include "worker/daemon/executor_outputs.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

namespace sluice {
namespace {

namespace fs = std::filesystem;

class ExecutorOutputsTest : public testing::Test {
 protected:
  ExecutorOutputsTest() : logs_(testing::TempDir() + "/outputs") { fs::remove_all(logs_); }
  ~ExecutorOutputsTest() override { fs::remove_all(logs_); }
  // Each is newer than the one before.
  std::string Print(const std::string& job, uint32_t executor) {
    const fs::path path = OutputOf(logs_, job, 1, executor);
    fs::create_directories(path.parent_path());
    for (const std::string& name : {path.string(), path.string() + ".1"}) {
      std::ofstream(name) << "x";
      fs::last_write_time(name, fs::file_time_type() + std::chrono::seconds(++seconds_));
    }
    return path.string();
  }
  size_t Files() const {
    size_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(logs_)) {
      files += entry.is_regular_file();
    }
    return files;
  }

  const fs::path logs_;
  int seconds_ = 0;
};

// An executor that crashed again and again left two files each time.
TEST_F(ExecutorOutputsTest, OfAJobWhoseExecutorsEndTheNewestStay) {
  const std::string running = Print("wc", 0);
  for (uint32_t i = 1; i <= 50; ++i) Print("wc", i);
  RemoveOldOutputs(logs_, {running});
  EXPECT_EQ(Files(), 2 * (kEndedOutputsOfAJob + 1));
  EXPECT_TRUE(fs::exists(running));
  EXPECT_TRUE(fs::exists(OutputOf(logs_, "wc", 1, 50)));
  EXPECT_FALSE(fs::exists(OutputOf(logs_, "wc", 1, 34)));
  EXPECT_FALSE(fs::exists(OutputOf(logs_, "wc", 1, 34).string() + ".1"));
}

TEST_F(ExecutorOutputsTest, OfNamesThatAreUsedOnceTheNewestStay) {
  for (uint32_t i = 1; i <= 200; ++i) Print("etl-" + std::to_string(i), 1);
  RemoveOldOutputs(logs_, {});
  EXPECT_EQ(Files(), 2 * kEndedOutputs);
  EXPECT_FALSE(fs::exists(logs_ / "etl-72"));
  EXPECT_TRUE(fs::exists(logs_ / "etl-73"));
}

TEST_F(ExecutorOutputsTest, WhereNothingWasPrintedYetNothingIsDone) {
  RemoveOldOutputs(logs_, {});
  EXPECT_FALSE(fs::exists(logs_));
}

}  // namespace
}  // namespace sluice
