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
  void Stage() {
    staged_.Clear();
    const absl::Status status = stager_.Stage(part_, lines_.view(), &staged_);
    ASSERT_TRUE(status.ok()) << status;
  }
  std::string File() const { return staged_.staged_path() + "/part-00007"; }

  std::string root_;
  StagedPart part_;
  proto::OutputPart staged_;
  RecordBatch lines_;
  PosixOutputStager stager_;
};

TEST_F(OutputStagerTest, WritesAPartBesideTheTarget) {
  Stage();
  EXPECT_EQ(staged_.staged_path(), root_ + "/deep/.sluice-0000000000000abc-1000-2-e3g4");
  EXPECT_EQ(Content(File()), "one\ntwo\n");
  EXPECT_EQ(staged_.bytes(), 8u);
}

TEST_F(OutputStagerTest, APartThatIsStagedAgainReplacesTheFormer) {
  Stage();
  lines_.Append("three");
  Stage();
  EXPECT_EQ(Content(File()), "one\ntwo\nthree\n");
  const std::filesystem::directory_iterator files(staged_.staged_path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

TEST_F(OutputStagerTest, AnEmptyPartIsAFile) {
  lines_.Clear();
  Stage();
  EXPECT_TRUE(std::filesystem::exists(File()));
}

TEST_F(OutputStagerTest, AFormatsFileHasHeaderRowsAndFooter) {
  part_.row_end = "";
  part_.header = "<";
  part_.footer = ">";
  Stage();
  EXPECT_EQ(Content(File()), "<onetwo>");
}

TEST_F(OutputStagerTest, WhatRollsIsStagedWithoutHeaderAndNotAtAllWhereThereIsNothing) {
  part_.rolls = true;
  part_.header = "<";
  Stage();
  EXPECT_EQ(Content(File()), "one\ntwo\n");
  part_.batch_ms = 2000;
  lines_.Clear();
  Stage();
  EXPECT_EQ(staged_.staged_path(), "");
  EXPECT_FALSE(std::filesystem::exists(StagedDirectory(part_)));
}

TEST_F(OutputStagerTest, WhatRollsAndHasNoRowsWhenItIsStagedAgainLeavesNoneOfTheFormer) {
  part_.rolls = true;
  Stage();
  const std::string former = File();
  EXPECT_TRUE(std::filesystem::exists(former));
  lines_.Clear();
  Stage();
  EXPECT_EQ(staged_.staged_path(), "");
  EXPECT_FALSE(std::filesystem::exists(former));
}

TEST_F(OutputStagerTest, WritesObjectFilesWhereTheRecordsHaveAType) {
  part_.record_type = "text";
  Stage();
  EXPECT_EQ(Content(File()), EncodeObjectFile("text", lines_.view()));
}

TEST_F(OutputStagerTest, AnUnusableDirectoryIsNamed) {
  part_.prefix = "/proc/none/out";
  const absl::Status status = stager_.Stage(part_, lines_.view(), &staged_);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.ToString().find("/proc/none"), std::string::npos);
}

TEST_F(OutputStagerTest, SeesWhetherTheFolderIsTheJobDrivers) {
  const OutputPlace place{part_.prefix, "", part_.job_instance, 3};
  EXPECT_TRUE(absl::IsNotFound(stager_.Probe(place, 1)));
  ASSERT_TRUE(MarkFolder(place).ok());
  EXPECT_TRUE(stager_.Probe(place, 1).ok());
}

}  // namespace
}  // namespace sluice
