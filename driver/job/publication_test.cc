#include "driver/job/publication.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class PublicationTest : public testing::Test {
 protected:
  PublicationTest() {
    std::string pattern = testing::TempDir() + "/publicationXXXXXX";
    root_ = mkdtemp(pattern.data());
    staged_.set_staged_path(root_ + "/.sluice-7-1000-0-e1g2");
    staged_.set_target_path(root_ + "/out-1000");
  }
  ~PublicationTest() override { fs::remove_all(root_); }
  void Stage(const std::string& dir) {
    fs::create_directory(dir);
    std::ofstream(dir + "/part-00000") << "a\n";
  }
  std::string root_;
  proto::StagedOutput staged_;
};

TEST_F(PublicationTest, AppearsWholeAndADoubleRedoChangesNothing) {
  Stage(staged_.staged_path());
  ASSERT_TRUE(PublishTextFiles(staged_, false).ok());
  EXPECT_TRUE(fs::exists(root_ + "/out-1000/_SUCCESS"));
  EXPECT_TRUE(fs::exists(root_ + "/out-1000/part-00000"));
  EXPECT_TRUE(PublishTextFiles(staged_, false).ok());
}

TEST_F(PublicationTest, AnotherJobsOutputIsNeverReplacedUnasked) {
  Stage(staged_.staged_path());
  Stage(staged_.target_path());
  EXPECT_EQ(PublishTextFiles(staged_, false).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(PublishTextFiles(staged_, true).ok());
}

TEST_F(PublicationTest, MissingStagedOutputIsNotTakenForPublished) {
  EXPECT_EQ(PublishTextFiles(staged_, false).code(), absl::StatusCode::kDataLoss);
}

TEST_F(PublicationTest, SweepLeavesLaterBatchesAndOthersOutputAlone) {
  Stage(staged_.staged_path());
  Stage(root_ + "/.sluice-7-1000-0-e1g1");
  const std::vector<std::string> kept = {".sluice-7-2000-0-e1g1", ".sluice-7-1000-1-e1g1",
                                         ".sluice-8-1000-0-e1g1", ".sluice-notes",
                                         ".sluice-rolled-7-2000-0-e1"};
  for (const std::string& name : kept) Stage(root_ + "/" + name);
  SweepStaged({root_ + "/out", "", 7, 0}, 1000);
  EXPECT_FALSE(fs::exists(root_ + "/.sluice-7-1000-0-e1g1"));
  for (const std::string& name : kept) EXPECT_TRUE(fs::exists(root_ + "/" + name)) << name;
}

// Tasks run before their batch's plan is durable; the next driver may never hear of that batch.
TEST_F(PublicationTest, SweepTakesWhatWasStagedForABatchThatWasNeverLogged) {
  Stage(root_ + "/.sluice-7-900-0-e1g1");
  SweepStaged({root_ + "/out", "", 7, 0}, 1000);
  EXPECT_FALSE(fs::exists(root_ + "/.sluice-7-900-0-e1g1"));
}

TEST(PrintTest, ShowsAtMostTheLimitAndSaysThatThereIsMore) {
  proto::StagedOutput staged;
  for (const char* row : {"a", "b", "c"}) staged.add_printed(row);
  EXPECT_EQ(FormatPrinted(5, staged, 2),
            std::string(43, '-') + "\nTime: 5 ms\n" + std::string(43, '-') + "\na\nb\n...\n\n");
}

}  // namespace
}  // namespace sluice
