#include "checkpoint/output_marker.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "common/passing_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// What a user who is not root may do, where the test is root's.
class AsNobody {
 public:
  AsNobody() : root_(geteuid() == 0) {
    if (root_) {
      EXPECT_EQ(seteuid(65534), 0);
    }
  }
  ~AsNobody() {
    if (root_) {
      EXPECT_EQ(seteuid(0), 0);
    }
  }

 private:
  const bool root_;
};

class OutputMarkerTest : public testing::Test {
 protected:
  OutputMarkerTest() {
    std::string pattern = testing::TempDir() + "/markerXXXXXX";
    root_ = mkdtemp(pattern.data());
    place_ = {root_ + "/deep/out", "", 0xabc, 3};
  }
  ~OutputMarkerTest() override {
    fs::permissions(root_, fs::perms::owner_all);
    fs::remove_all(root_);
  }
  int Entries() const {
    return static_cast<int>(std::distance(fs::directory_iterator(root_ + "/deep"), {}));
  }

  std::string root_;
  OutputPlace place_;
};

TEST_F(OutputMarkerTest, AnExecutorFindsTheMarkerAndLeavesNothing) {
  ASSERT_TRUE(MarkFolder(place_).ok());
  EXPECT_TRUE(fs::exists(root_ + "/deep/.sluice-probe-0000000000000abc-e3"));
  EXPECT_TRUE(TryFolder(place_, 7).ok());
  EXPECT_EQ(Entries(), 1);
  ASSERT_TRUE(MarkFolder(place_).ok());  // of another output there
  UnmarkFolder(place_);
  UnmarkFolder(place_);
  EXPECT_EQ(Entries(), 0);
}

// Of a job that was refused for one worker, the executor of another is killed at any moment, and
// nobody ever comes back for what it leaves.
TEST_F(OutputMarkerTest, AnExecutorThatIsKilledAsItWritesLeavesNothing) {
  ASSERT_TRUE(MarkFolder(place_).ok());
  const auto write_and_die = [&] {
    const rlimit none = {0, 0};
    setrlimit(RLIMIT_FSIZE, &none);  // the first byte ends the process
    (void)TryFolder(place_, 7);
  };
  EXPECT_EXIT(write_and_die(), testing::KilledBySignal(SIGXFSZ), "");
  EXPECT_EQ(Entries(), 1);
}

// Between its creation and the removal of its name it could be killed as well.
TEST_F(OutputMarkerTest, WhatAnExecutorWritesNeverHasAName) {
  ASSERT_TRUE(MarkFolder(place_).ok());
  const std::string folder = root_ + "/deep";
  const int unnamed = open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  if (unnamed < 0) GTEST_SKIP() << "this file system has no files without a name";
  close(unnamed);
  const int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  ASSERT_GE(inotify_add_watch(watch, folder.c_str(), IN_CREATE), 0);
  EXPECT_TRUE(TryFolder(place_, 7).ok());
  char event[4096];
  EXPECT_LT(read(watch, event, sizeof event), 0);
  std::ofstream(folder + "/named") << "noticed";
  EXPECT_GT(read(watch, event, sizeof event), 0);
  close(watch);
}

TEST_F(OutputMarkerTest, AnotherFolderHasNoMarker) {
  EXPECT_TRUE(absl::IsNotFound(TryFolder(place_, 7)));  // nor is there a folder
  ASSERT_TRUE(MarkFolder(place_).ok());
  place_.epoch = 4;
  EXPECT_TRUE(absl::IsNotFound(TryFolder(place_, 7)));
  EXPECT_EQ(Entries(), 1);
}

TEST_F(OutputMarkerTest, AFolderThatCannotBeMadeIsNamed) {
  std::ofstream(root_ + "/file") << "a file";
  for (const std::string& prefix : {root_ + "/file/out", root_ + "/file/deep/out",
                                    std::string("/proc/none/out")}) {
    place_.prefix = prefix;
    const absl::Status status = MarkFolder(place_);
    EXPECT_FALSE(status.ok() || MayPass(status)) << prefix;
    EXPECT_THAT(status.ToString(), HasSubstr(fs::path(prefix).parent_path().string()));
  }
}

TEST_F(OutputMarkerTest, AFolderThatMayNotBeWrittenIsRefusedOnBothSides) {
  ASSERT_TRUE(MarkFolder(place_).ok());
  fs::permissions(root_ + "/deep", fs::perms::owner_read | fs::perms::owner_exec |
                                       fs::perms::others_read | fs::perms::others_exec);
  fs::permissions(root_, fs::perms::owner_all | fs::perms::others_read | fs::perms::others_exec);
  {
    const AsNobody nobody;
    for (const absl::Status& status : {TryFolder(place_, 7), MarkFolder(place_)}) {
      EXPECT_FALSE(status.ok() || MayPass(status) || absl::IsNotFound(status));
      EXPECT_THAT(status.ToString(), HasSubstr("Permission denied"));
    }
  }
  fs::permissions(root_ + "/deep", fs::perms::owner_all);
  EXPECT_EQ(Entries(), 1);
}

TEST_F(OutputMarkerTest, WhatIsLeftIsKnownByItsName) {
  const auto left = [](const std::string& name) { return IsMarkerLeft(name, 0xabc, 3); };
  EXPECT_TRUE(left(".sluice-probe-0000000000000abc-e2"));
  EXPECT_FALSE(left(".sluice-probe-0000000000000abc-e3"));  // in use
  EXPECT_FALSE(left(".sluice-probe-0000000000000abc-e4"));
  EXPECT_TRUE(left(".sluice-probe-0000000000000abc-e3x7"));
  EXPECT_FALSE(left(".sluice-probe-0000000000000abd-e2"));
  EXPECT_FALSE(left(".sluice-0000000000000abc-1000-2-e3g4"));
  EXPECT_FALSE(left("probe"));
}

}  // namespace
}  // namespace sluice
