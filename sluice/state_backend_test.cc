#include "sluice/state_backend.h"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class StateBackendTest : public testing::Test {
 protected:
  StateBackendTest() : parent_(testing::TempDir() + "states_" + std::to_string(getpid())) {
    fs::create_directories(parent_);
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
  ASSERT_TRUE(StateBackendOf(config_, parent_).open().ok());
  EXPECT_EQ(Folders(), std::set<std::string>{other});
}

// In a container a program that is started again often has the pid that it had before.
TEST_F(StateBackendTest, WhatAFormerProcessOfThisPidLeftIsNotInTheWay) {
  const StateBackend backend = StateBackendOf(config_, parent_);
  auto store = backend.open();
  ASSERT_TRUE(store.ok());
  const std::string folder = *Folders().begin();
  const size_t number_at = folder.rfind('-') + 1;
  const std::string next =
      folder.substr(0, number_at) + std::to_string(std::stoi(folder.substr(number_at)) + 1);
  fs::copy(parent_ + "/" + folder, parent_ + "/" + next, fs::copy_options::recursive);
  const auto opened = backend.open();
  EXPECT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(Folders(), (std::set<std::string>{folder, next}));
}

}  // namespace
}  // namespace sluice
