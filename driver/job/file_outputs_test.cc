#include "driver/job/file_outputs.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class FileOutputsTest : public testing::Test {
 protected:
  FileOutputsTest() {
    std::string pattern = testing::TempDir() + "/outputsXXXXXX";
    root_ = mkdtemp(pattern.data());
    output_.kind = OutputKind::kTextFiles;
    output_.prefix = root_ + "/out";
  }
  ~FileOutputsTest() override { fs::remove_all(root_); }
  std::string Staged(int64_t batch_ms, const std::string& maker) {
    const std::string path = root_ + "/.sluice-7-" + std::to_string(batch_ms) + "-0-" + maker;
    fs::create_directory(path);
    return path;
  }
  std::string Publish(int64_t batch_ms, const std::string& maker) {
    return PublishBy(outputs_, batch_ms, maker);
  }
  // Why it cannot be.
  std::string PublishBy(FileOutputs& outputs, int64_t batch_ms, const std::string& maker) {
    PublishOutput publish;
    publish.batch_ms = batch_ms;
    publish.job_instance = 7;
    publish.staged.set_staged_path(Staged(batch_ms, maker));
    publish.staged.set_target_path(root_ + "/out-" + std::to_string(batch_ms));
    return outputs.Publish(publish, output_).error;
  }

  std::string root_;
  Output output_;
  FileOutputs outputs_{1};
};

// The folder has an entry for each batch ever published: listing it at each made batches late.
TEST_F(FileOutputsTest, LooksForWhatIsLeftBehindAGenerationAndThenSeldom) {
  int64_t batch_ms = 0;
  const auto left_after = [&](int publications, const std::string& maker) {
    const std::string left = Staged(1, "e1g1");
    for (int i = 0; i < publications; ++i) EXPECT_EQ(Publish(batch_ms += 100, maker), "");
    return fs::exists(left);
  };
  EXPECT_FALSE(left_after(1, "e1g2"));
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Publish(batch_ms += 100, "e1g2"), "");
  EXPECT_TRUE(left_after(10, "e1g2"));
  EXPECT_FALSE(left_after(100, "e1g2"));
  EXPECT_FALSE(left_after(1, "e1g3"));
}

TEST_F(FileOutputsTest, WhatFormerJobDriversMarkedFoldersWithGoes) {
  const std::string marker = root_ + "/.sluice-probe-0000000000000007-e";
  for (const char* left : {"0", "1", "1x4"}) std::ofstream(marker + left) << "a marker";
  EXPECT_EQ(Publish(100, "e1g1"), "");
  EXPECT_FALSE(fs::exists(marker + "0"));
  EXPECT_TRUE(fs::exists(marker + "1"));  // its own
  EXPECT_FALSE(fs::exists(marker + "1x4"));
}

// It named no way to be allowed that whoever runs the job has.
TEST_F(FileOutputsTest, WhoeverRunsTheJobMayHaveAnothersBatchReplaced) {
  fs::create_directory(root_ + "/out-100");
  std::ofstream(root_ + "/out-100/part-00009") << "theirs";
  EXPECT_NE(Publish(100, "e1g1").find("give the program --overwrite"), std::string::npos);
  FileOutputs overwrites(1, /*overwrite=*/true);
  EXPECT_EQ(PublishBy(overwrites, 100, "e1g2"), "");
  EXPECT_FALSE(fs::exists(root_ + "/out-100/part-00009"));
}

}  // namespace
}  // namespace sluice
