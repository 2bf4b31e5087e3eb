#include "driver/job/output_place.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "driver/job/publication.h"
#include "gtest/gtest.h"

namespace {
bool remote = false;
}  // namespace

// Instead of the library's: as it is on NFS, CephFS and others, which know no flags.
extern "C" int renameat2(int from_at, const char* from, int to_at, const char* to,
                         unsigned flags) noexcept {
  if (remote && flags != 0) {
    errno = EINVAL;
    return -1;
  }
  return static_cast<int>(syscall(SYS_renameat2, from_at, from, to_at, to, flags));
}

namespace sluice {
namespace {

namespace fs = std::filesystem;

class OutputPlaceTest : public testing::TestWithParam<bool> {
 protected:
  OutputPlaceTest() {
    remote = GetParam();
    std::string pattern = testing::TempDir() + "/placeXXXXXX";
    root_ = mkdtemp(pattern.data());
  }
  ~OutputPlaceTest() override {
    remote = false;
    fs::remove_all(root_);
  }
  void MakeFile(const std::string& name, const std::string& text) {
    std::ofstream(root_ + "/" + name) << text;
  }
  std::string Text(const std::string& name) {
    std::ifstream file(root_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  int Move(const std::string& from, const std::string& to) {
    return MoveToNewName(root_ + "/" + from, root_ + "/" + to);
  }
  std::string root_;
};

// It could not be looked at, for ever, when a file had taken the place of the folder.
TEST_P(OutputPlaceTest, NothingIsBelowAFile) {
  MakeFile("a", "one");
  const auto there = IsThere(root_ + "/a/b");
  ASSERT_TRUE(there.ok()) << there.status();
  EXPECT_FALSE(*there);
}

// On a remote file system nothing was ever published.
TEST_P(OutputPlaceTest, AFileIsMovedAndReplacesNone) {
  MakeFile("a", "one");
  MakeFile("b", "two");
  EXPECT_EQ(Move("a", "b"), EEXIST);
  EXPECT_EQ(Text("b"), "two");
  EXPECT_EQ(Move("a", "c"), 0);
  EXPECT_EQ(Text("c"), "one");
  EXPECT_FALSE(fs::exists(root_ + "/a"));
  EXPECT_EQ(Move("a", "d"), ENOENT);
}

TEST_P(OutputPlaceTest, ADirectoryIsMovedAndReplacesNoneThatHasSomething) {
  fs::create_directory(root_ + "/a");
  fs::create_directory(root_ + "/b");
  MakeFile("a/part", "one");
  MakeFile("b/part", "two");
  const int error = Move("a", "b");
  EXPECT_TRUE(error == EEXIST || error == ENOTEMPTY) << error;
  EXPECT_EQ(Text("b/part"), "two");
  EXPECT_EQ(Move("a", "c"), 0);
  EXPECT_EQ(Text("c/part"), "one");
}

TEST_P(OutputPlaceTest, ABatchIsPublished) {
  proto::StagedOutput staged;
  staged.set_staged_path(root_ + "/.sluice-7-1000-0-e1g2");
  staged.set_target_path(root_ + "/out-1000");
  fs::create_directory(staged.staged_path());
  EXPECT_TRUE(PublishTextFiles(staged, 1, false).ok());
  EXPECT_TRUE(fs::exists(root_ + "/out-1000/_SUCCESS"));
  EXPECT_TRUE(PublishTextFiles(staged, 1, false).ok());
}

TEST_P(OutputPlaceTest, ABatchTakesThePlaceOfAnotherJobs) {
  proto::StagedOutput staged;
  staged.set_staged_path(root_ + "/.sluice-7-1000-0-e1g2");
  staged.set_target_path(root_ + "/out-1000");
  fs::create_directory(staged.staged_path());
  fs::create_directory(staged.target_path());
  MakeFile("out-1000/part-00000", "of another job");
  EXPECT_TRUE(PublishTextFiles(staged, 1, true).ok());
  EXPECT_TRUE(fs::exists(root_ + "/out-1000/_SUCCESS"));
  EXPECT_FALSE(fs::exists(root_ + "/out-1000/part-00000"));
}

// What could not be looked at was taken for lost, and the job failed.
TEST_P(OutputPlaceTest, APlaceThatIsAwayIsNotTakenForOneThatHasLostItsRows) {
  fs::create_symlink("loop", root_ + "/loop");
  for (const std::string folder : {"/loop", "/unmounted"}) {
    proto::StagedOutput staged;
    staged.set_staged_path(root_ + folder + "/.sluice-7-1000-0-e1g2");
    staged.set_target_path(root_ + folder + "/out-1000");
    EXPECT_TRUE(absl::IsUnavailable(PublishTextFiles(staged, 1, false))) << folder;
  }
}

INSTANTIATE_TEST_SUITE_P(Places, OutputPlaceTest, testing::Bool(), [](const auto& info) {
  return info.param ? "Remote" : "Local";
});

}  // namespace
}  // namespace sluice
