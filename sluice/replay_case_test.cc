// Folders of cases: whole ones, damaged ones, none; files that came with the folder.
#include "sluice/replay_case.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "checkpoint/errors.h"
#include "common/exit_code.h"

namespace sluice {
namespace {

class ReplayCaseTest : public testing::Test {
 protected:
  ReplayCaseTest() {
    std::filesystem::create_directories(folder_ + "/files");
    case_.set_batch_ms(200);
    case_.mutable_job()->set_partitions(2);
    case_.add_batches()->mutable_composition()->set_batch_ms(100);
    case_.add_batches()->mutable_composition()->set_batch_ms(200);
  }
  proto::FileRange* AddFile(const std::string& path) {
    auto* source = case_.mutable_batches(1)->mutable_composition()->add_sources();
    auto* file = source->add_tasks()->add_pieces()->mutable_file();
    file->set_path(path);
    file->set_modified_ns(7);
    return file;
  }
  const proto::FileRange& FileOf(const proto::ReplayCase& read) {
    return read.batches(1).composition().sources(0).tasks(0).pieces(0).file();
  }
  int CodeOf(const proto::ReplayCase& written) {
    EXPECT_TRUE(WriteCase(folder_, written).ok());
    return ExitCodeOf(ReadCase(folder_).status());
  }

  const std::string folder_ = testing::TempDir() + "/case";
  proto::ReplayCase case_;
};

TEST_F(ReplayCaseTest, IsReadAsItWasWritten) {
  AddFile("/in/a");
  ASSERT_TRUE(WriteCase(folder_, case_).ok());
  const auto read = ReadCase(folder_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->SerializeAsString(), case_.SerializeAsString());
}

TEST_F(ReplayCaseTest, AFileOfTheFolderIsTheSameWhenItWasCopied) {
  std::ofstream(folder_ + "/files/1") << "text\n";
  AddFile("files/1");
  ASSERT_TRUE(WriteCase(folder_, case_).ok());
  const auto read = ReadCase(folder_);
  ASSERT_TRUE(read.ok()) << read.status();
  struct stat seen;
  ASSERT_EQ(stat((folder_ + "/files/1").c_str(), &seen), 0);
  EXPECT_EQ(FileOf(*read).path(), folder_ + "/files/1");
  EXPECT_EQ(FileOf(*read).modified_ns(),
            int64_t{seen.st_mtim.tv_sec} * 1'000'000'000 + seen.st_mtim.tv_nsec);
}

TEST_F(ReplayCaseTest, WhatIsNoCaseIsDamage) {
  proto::ReplayCase no_job = case_;
  no_job.mutable_job()->set_partitions(0);
  EXPECT_EQ(CodeOf(no_job), kExitDamaged);
  proto::ReplayCase backwards = case_;
  backwards.mutable_batches(0)->mutable_composition()->set_batch_ms(300);
  EXPECT_EQ(CodeOf(backwards), kExitDamaged);
  proto::ReplayCase another = case_;
  another.set_batch_ms(100);
  EXPECT_EQ(CodeOf(another), kExitDamaged);
  std::ofstream(folder_ + "/case.txt") << "batch_ms: {";
  EXPECT_EQ(ExitCodeOf(ReadCase(folder_).status()), kExitDamaged);
}

TEST_F(ReplayCaseTest, AFolderWithoutOneIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReadCase(folder_ + "/none").status()));
}

}  // namespace
}  // namespace sluice
