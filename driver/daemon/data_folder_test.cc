#include "driver/daemon/data_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/role_flags.h"

namespace sluice::daemon {
namespace {

class DataFolderTest : public testing::Test {
 protected:
  std::string root_ = testing::TempDir() + "/data_" +
                      testing::UnitTest::GetInstance()->current_test_info()->name();
  std::unique_ptr<DataFolder> folder_ = *DataFolder::Open(root_);

  proto::JobTable OneJob() const {
    proto::JobTable table;
    table.add_jobs()->mutable_spec()->set_name("wc");
    return table;
  }
  void Damage(std::streamoff at) {
    std::fstream file(root_ + "/jobs.table", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.put('\x7f');
  }
};

TEST_F(DataFolderTest, HasOneOwner) {
  EXPECT_EQ(DataFolder::Open(root_).status().code(), absl::StatusCode::kFailedPrecondition);
  folder_.reset();
  EXPECT_TRUE(DataFolder::Open(root_).ok());
}

// A supervisor does not start again what was refused.
TEST_F(DataFolderTest, AFileIsRefusedAndADiskThatFailsIsNot) {
  std::ofstream(root_ + "/file") << "x";
  EXPECT_TRUE(absl::IsFailedPrecondition(DataFolder::Open(root_ + "/file").status()));
  EXPECT_TRUE(absl::IsInternal(DataFolder::Open("/proc/nowhere").status()));
}

TEST_F(DataFolderTest, LoadsWhatWasSaved) {
  EXPECT_EQ(folder_->LoadTable()->jobs_size(), 0);
  ASSERT_TRUE(folder_->SaveTable(OneJob()).ok());
  auto table = folder_->LoadTable();
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(table->jobs(0).spec().name(), "wc");
}

// It was saved, and the daemon did not start any more.
TEST_F(DataFolderTest, ATableThatCouldNotBeLoadedIsNotSaved) {
  ASSERT_TRUE(folder_->SaveTable(OneJob()).ok());
  proto::JobTable large = OneJob();
  large.mutable_jobs(0)->mutable_spec()->add_args(std::string(size_t{64} << 20, 'x'));
  EXPECT_TRUE(absl::IsResourceExhausted(folder_->SaveTable(large)));
  EXPECT_TRUE(folder_->LoadTable().ok());
}

TEST_F(DataFolderTest, NamesADamagedTable) {
  for (std::streamoff at : {0, 17, 25}) {
    ASSERT_TRUE(folder_->SaveTable(OneJob()).ok());
    Damage(at);
    auto table = folder_->LoadTable();
    EXPECT_EQ(table.status().code(), absl::StatusCode::kDataLoss) << at;
    EXPECT_NE(std::string(table.status().message()).find("jobs.table"), std::string::npos);
  }
}

TEST_F(DataFolderTest, ANewRunReplacesTheFormerOnes) {
  auto first = folder_->MakeRun("wc", "a");
  ASSERT_TRUE(first.ok());
  std::ofstream(*first + "/" + kExitCodeFile) << "3\n";
  EXPECT_EQ(ReadExitCode(*first), 3);
  ASSERT_TRUE(folder_->MakeRun("wc", "a").ok()) << "a relaunch keeps the folder";
  EXPECT_EQ(ReadExitCode(*first), -1) << "but not the former process's exit code";
  ASSERT_TRUE(folder_->MakeRun("wc", "b").ok());
  EXPECT_FALSE(std::filesystem::exists(*first));
}

// With names that are used once each left its run, and a store in it, for good.
TEST_F(DataFolderTest, OfAJobThatIsForgottenNothingStays) {
  auto gone = folder_->MakeRun("etl-1", "a"), kept = folder_->MakeRun("etl-2", "a");
  ASSERT_TRUE(gone.ok() && kept.ok());
  std::ofstream(*gone + "/" + kOutputFile) << "one\n";
  folder_->RemoveRuns("etl-1");
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(*gone).parent_path()));
  EXPECT_TRUE(std::filesystem::exists(*kept));
}

TEST_F(DataFolderTest, FindsTheLastLine) {
  auto run = folder_->MakeRun("wc", "a");
  EXPECT_EQ(LastLineOfOutput(*run), "");
  std::ofstream(*run + "/" + kOutputFile) << "one\ntwo\n\n";
  EXPECT_EQ(LastLineOfOutput(*run), "two");
  std::ofstream(*run + "/" + kOutputFile) << std::string(10'000, 'x');
  EXPECT_EQ(LastLineOfOutput(*run).size(), 500u);
}

}  // namespace
}  // namespace sluice::daemon
