#include "driver/job/publication.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <vector>

#include "gtest/gtest.h"

namespace {
std::function<int()> before_rename;  // 0, or the error that it ends with
std::function<void(int error)> after_rename;
}  // namespace

// Instead of the library's: what happens between two steps of a publication.
extern "C" int renameat2(int from_at, const char* from, int to_at, const char* to,
                         unsigned flags) noexcept {
  const auto before = before_rename;  // which may set another one
  const auto after = after_rename;
  int error = before ? before() : 0;
  if (error == 0 && syscall(SYS_renameat2, from_at, from, to_at, to, flags) != 0) error = errno;
  if (after) after(error);
  errno = error;
  return error == 0 ? 0 : -1;
}

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
  ASSERT_TRUE(PublishTextFiles(staged_, 1, false).ok());
  EXPECT_TRUE(fs::exists(root_ + "/out-1000/_SUCCESS"));
  EXPECT_TRUE(fs::exists(root_ + "/out-1000/part-00000"));
  EXPECT_TRUE(PublishTextFiles(staged_, 1, false).ok());
}

TEST_F(PublicationTest, AnotherJobsOutputIsNeverReplacedUnasked) {
  Stage(staged_.staged_path());
  Stage(staged_.target_path());
  EXPECT_EQ(PublishTextFiles(staged_, 1, false).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(PublishTextFiles(staged_, 1, true).ok());
}

// Of two job drivers one has replaced the other, which has not noticed.
class OverwriteTest : public PublicationTest {
 protected:
  OverwriteTest() {
    Stage(staged_.staged_path());
    fs::create_directory(staged_.target_path());
    std::ofstream(staged_.target_path() + "/part-00000") << "of another job\n";
    std::ofstream(staged_.target_path() + "/part-00001") << "of another job\n";
  }
  ~OverwriteTest() override {
    before_rename = nullptr;
    after_rename = nullptr;
  }
  // Tries again as the publisher does.
  absl::Status Publish(uint64_t epoch) {
    absl::Status status = PublishTextFiles(staged_, epoch, true);
    for (int i = 0; i < 3 && absl::IsUnavailable(status); ++i) {
      status = PublishTextFiles(staged_, epoch, true);
    }
    return status;
  }
  // By their paths in the folder of the output.
  std::vector<std::string> There() {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      names.push_back(fs::relative(entry.path(), root_).string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  void ExpectPublished(int rename) {
    const std::vector<std::string> expected{"out-1000", "out-1000/_SUCCESS",
                                            "out-1000/part-00000"};
    EXPECT_EQ(There(), expected) << rename;
    std::ifstream part(staged_.target_path() + "/part-00000");
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(part), {}), "a\n") << rename;
  }
  void StartOver() {
    before_rename = nullptr;
    after_rename = nullptr;
    fs::remove_all(staged_.target_path());
    Stage(staged_.staged_path());
    Stage(staged_.target_path());
    std::ofstream(staged_.target_path() + "/part-00001") << "of another job\n";
  }
};

// It had seen the other job's output, stood still, and removed what its successor had put there.
TEST_F(OverwriteTest, AFormerJobDriverRemovesNothingThatItsSuccessorPublished) {
  after_rename = [this](int error) {
    if (error != EEXIST) return;
    after_rename = nullptr;
    EXPECT_TRUE(Publish(2).ok());
  };
  EXPECT_TRUE(Publish(1).ok());
  ExpectPublished(0);
}

TEST_F(OverwriteTest, OneOfTwoJobDriversStandsStillAnywhereWhileTheOtherPublishes) {
  for (const uint64_t first : {1, 2}) {
    for (int rename = 0; rename < 6; ++rename) {
      int left = rename;
      before_rename = [&] {
        if (left-- != 0) return 0;
        before_rename = nullptr;
        const absl::Status status = Publish(3 - first);
        EXPECT_TRUE(status.ok() || (first == 2 && absl::IsUnavailable(status))) << rename;
        return 0;
      };
      EXPECT_TRUE(Publish(first).ok()) << rename;
      ExpectPublished(rename);
      StartOver();
    }
  }
}

TEST_F(OverwriteTest, AFormerJobDriverStandsStillBehindAnyStep) {
  for (int rename = 0; rename < 6; ++rename) {
    int left = rename;
    after_rename = [&](int) {
      if (left-- != 0) return;
      after_rename = nullptr;
      EXPECT_TRUE(Publish(2).ok()) << rename;
      ExpectPublished(rename);
    };
    EXPECT_TRUE(Publish(1).ok()) << rename;
    ExpectPublished(rename);
    StartOver();
  }
}

TEST_F(OverwriteTest, AJobDriverEndsAnywhereAndItsSuccessorPublishes) {
  for (int rename = 0; rename < 6; ++rename) {
    int left = rename;
    before_rename = [&] { return left-- > 0 ? 0 : EIO; };
    (void)Publish(1);
    before_rename = nullptr;
    EXPECT_TRUE(Publish(2).ok()) << rename;
    ExpectPublished(rename);
    StartOver();
  }
}

TEST_F(PublicationTest, MissingStagedOutputIsNotTakenForPublished) {
  EXPECT_EQ(PublishTextFiles(staged_, 1, false).code(), absl::StatusCode::kDataLoss);
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
