#include "worker/executor/output_stager.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/object_file.h"

namespace sluice {
namespace {

std::string Content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class OutputStagerTest : public testing::Test {
 protected:
  OutputStagerTest() {
    root_ = testing::TempDir() + "/stager";
    std::filesystem::remove_all(root_);
    part_ = {root_ + "/deep/out", 0xabc, 1000, 2, {3, 4}, 7};
    lines_.Append("one");
    lines_.Append("two");
  }
  std::string root_;
  StagedPart part_;
  RecordBatch lines_;
  PosixOutputStager stager_;
};

TEST_F(OutputStagerTest, WritesAPartBesideTheTarget) {
  const auto directory = stager_.Stage(part_, lines_.view());
  ASSERT_TRUE(directory.ok()) << directory.status();
  EXPECT_EQ(*directory, root_ + "/deep/.sluice-0000000000000abc-1000-2-e3g4");
  EXPECT_EQ(Content(*directory + "/part-00007"), "one\ntwo\n");
}

TEST_F(OutputStagerTest, StagingAgainReplacesAndLeavesNothingElse) {
  ASSERT_TRUE(stager_.Stage(part_, lines_.view()).ok());
  lines_.Append("three");
  const auto directory = stager_.Stage(part_, lines_.view());
  ASSERT_TRUE(directory.ok());
  EXPECT_EQ(Content(*directory + "/part-00007"), "one\ntwo\nthree\n");
  const std::filesystem::directory_iterator files(*directory);
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

TEST_F(OutputStagerTest, AnEmptyPartIsAFile) {
  lines_.Clear();
  const auto directory = stager_.Stage(part_, lines_.view());
  ASSERT_TRUE(directory.ok());
  EXPECT_TRUE(std::filesystem::exists(*directory + "/part-00007"));
}

TEST_F(OutputStagerTest, WritesObjectFilesWhereTheRecordsHaveAType) {
  part_.record_type = "text";
  const auto directory = stager_.Stage(part_, lines_.view());
  ASSERT_TRUE(directory.ok()) << directory.status();
  EXPECT_EQ(Content(*directory + "/part-00007"), EncodeObjectFile("text", lines_.view()));
}

TEST_F(OutputStagerTest, AnUnusableDirectoryIsNamed) {
  part_.prefix = "/proc/none/out";
  const auto directory = stager_.Stage(part_, lines_.view());
  ASSERT_FALSE(directory.ok());
  EXPECT_NE(directory.status().ToString().find("/proc/none"), std::string::npos);
}

}  // namespace
}  // namespace sluice
