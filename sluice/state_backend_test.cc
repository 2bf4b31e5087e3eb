#include "sluice/state_backend.h"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "checkpoint/errors.h"
#include "common/exit_code.h"
#include "gtest/gtest.h"
#include "worker/executor/state_folders.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class StateBackendTest : public testing::Test {
 protected:
  StateBackendTest() : parent_(testing::TempDir() + "states_" + std::to_string(getpid())) {
    EXPECT_EQ(PrepareStateFolder(parent_), absl::OkStatus());
    EXPECT_TRUE(config_.SetFlag("state_backend=rocksdb").ok());
  }
  ~StateBackendTest() override { fs::remove_all(parent_); }
  std::set<std::string> Folders() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(parent_)) names.insert(entry.path().filename());
    return names;
  }

  const std::string parent_;
  Config config_;
};

TEST_F(StateBackendTest, AStoresFolderGoesWithIt) {
  const StateBackend backend = StateBackendOf(config_, parent_);
  auto first = backend.open();
  auto second = backend.open();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(Folders().size(), 2u);
  first->reset();
  second->reset();
  EXPECT_EQ(Folders(), std::set<std::string>());
}

TEST_F(StateBackendTest, WhatAProcessThatIsGoneLeftIsRemoved) {
  const pid_t gone = fork();
  if (gone == 0) _exit(0);
  ASSERT_EQ(waitpid(gone, nullptr, 0), gone);
  const std::string left = "state-" + std::to_string(gone) + "-1";
  const std::string other = "state-" + std::to_string(getppid()) + "-1";
  fs::create_directory(parent_ + "/" + left);
  fs::create_directory(parent_ + "/" + other);
  fs::create_directory(parent_ + "/kept");
  EXPECT_EQ(PrepareStateFolder(parent_), absl::OkStatus());
  EXPECT_EQ(Folders(), (std::set<std::string>{other, "kept"}));
}

// In a container a program that is started again often has the pid that it had before.
TEST_F(StateBackendTest, WhatAFormerProcessOfThisPidLeftIsNotInTheWay) {
  const StateBackend backend = StateBackendOf(config_, parent_);
  auto store = backend.open();
  ASSERT_TRUE(store.ok());
  const std::string folder = *Folders().begin();
  const uint64_t number = std::stoull(folder.substr(folder.rfind('-') + 1));
  const std::string next = fs::path(StateFolder(parent_, getpid(), number + 1)).filename();
  fs::copy(parent_ + "/" + folder, parent_ + "/" + next, fs::copy_options::recursive);
  const auto opened = backend.open();
  EXPECT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(Folders(), (std::set<std::string>{folder, next}));
}

// Whoever may write into it could have the job read and remove what he likes.
class TemporaryFolderTest : public StateBackendTest {
 protected:
  void ExpectRefused(const std::string& path, const std::string& why) {
    const absl::Status status = PrepareStateFolder(path);
    EXPECT_EQ(ExitCodeOf(status), kExitRefused) << status;
    EXPECT_NE(std::string(status.message()).find(why), std::string::npos) << status;
  }
};

TEST_F(TemporaryFolderTest, ALinkIsRefusedAlsoWhereItLeadsToOurOwn) {
  fs::create_directory_symlink(parent_, parent_ + "/link");
  ExpectRefused(parent_ + "/link", "symbolic link");
  fs::create_directory_symlink(parent_ + "/nowhere", parent_ + "/broken");
  ExpectRefused(parent_ + "/broken", "symbolic link");
}

TEST_F(TemporaryFolderTest, AFolderThatIsOpenToOthersIsRefused) {
  for (const int mode : {0755, 0770, 0500}) {
    fs::permissions(parent_, static_cast<fs::perms>(mode));
    ExpectRefused(parent_, "mode");
  }
}

TEST_F(TemporaryFolderTest, AFileAndAPlaceThatIsNotThereAreRefused) {
  std::ofstream(parent_ + "/file") << "x";
  ExpectRefused(parent_ + "/file", "no folder");
  ExpectRefused(parent_ + "/nowhere/sluice", "nowhere");
}

TEST_F(TemporaryFolderTest, AnotherUsersIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  ASSERT_EQ(chown(parent_.c_str(), 65534, 65534), 0);
  ExpectRefused(parent_, "another user");
}

}  // namespace
}  // namespace sluice
