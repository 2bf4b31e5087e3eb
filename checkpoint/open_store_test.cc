#include "checkpoint/open_store.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "checkpoint/errors.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(OpenStoreTest, AllWhoOpenOneUrlSeeTheSameObjects) {
  const std::string folder = testing::TempDir() + "opened_" + std::to_string(::getpid());
  // Whoever only looks makes nothing: it would be another directory where this is not mounted.
  EXPECT_TRUE(absl::IsNotFound(OpenObjectStore("rocksdb:" + folder).status()));
  EXPECT_FALSE(std::filesystem::exists(folder));
  {
    DriverStoreOptions options;
    options.url = "rocksdb:" + folder;
    const auto driver = OpenDriverStore(options);
    ASSERT_TRUE(driver.ok()) << driver.status();
    auto writer = OpenObjectStore("rocksdb:" + folder);
    ASSERT_TRUE(writer.ok()) << writer.status();
    EXPECT_TRUE((*writer)->PutIfAbsent("part-1", "state").ok());
    auto reader = OpenObjectStore("rocksdb:" + folder + "/");
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_EQ(*(*reader)->Get("part-1"), "state");
    EXPECT_TRUE(std::filesystem::exists(folder + "/objects/part-1"));
  }
  std::filesystem::remove_all(folder);
}

TEST(OpenStoreTest, AJobThatHasRunIsNotBegunAfreshWhereItsLogIsNot) {
  const std::string folder = testing::TempDir() + "elsewhere_" + std::to_string(::getpid());
  const DriverStoreOptions again = {.url = "rocksdb:" + folder, .must_exist = true};
  EXPECT_EQ(ExitCodeOf(OpenDriverStore(again).status()), kExitDamaged);
  EXPECT_FALSE(std::filesystem::exists(folder)) << "and nothing is made there";
  ASSERT_TRUE(OpenDriverStore({.url = "rocksdb:" + folder}).ok());
  EXPECT_TRUE(OpenDriverStore(again).ok());
  std::filesystem::remove_all(folder);
}

// It ended the process with an exception of the standard library's.
TEST(OpenStoreTest, AMarkerThatCannotBeReadIsAnError) {
  const std::string folder = testing::TempDir() + "unreadable_" + std::to_string(::getpid());
  ASSERT_TRUE(OpenDriverStore({.url = "rocksdb:" + folder}).ok());
  std::filesystem::remove(folder + "/job");
  std::filesystem::create_directory(folder + "/job");  // can be opened, and not be read
  EXPECT_TRUE(absl::IsUnavailable(OpenDriverStore({.url = "rocksdb:" + folder}).status()));
  std::filesystem::remove_all(folder);
}

TEST(OpenStoreTest, AJobThatWasEndedBeforeItsFirstAppendMayBeginAgain) {
  const std::string folder = testing::TempDir() + "unbegun_" + std::to_string(::getpid());
  ASSERT_TRUE(OpenDriverStore({.url = "rocksdb:" + folder}).ok());
  {
    const auto again = OpenDriverStore({.url = "rocksdb:" + folder});
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_FALSE(again->known);
    ASSERT_TRUE(again->log->PutIfAbsent(1, "a record").ok());
  }
  EXPECT_TRUE(OpenDriverStore({.url = "rocksdb:" + folder})->known);
  std::filesystem::remove_all(folder + "/log");
  std::filesystem::remove(folder + "/log.witness");
  for (int start : {1, 2}) {
    EXPECT_EQ(ExitCodeOf(OpenDriverStore({.url = "rocksdb:" + folder}).status()), kExitDamaged)
        << "a lost log is no new job, at start " << start;
  }
  std::filesystem::remove_all(folder);
}

// A store with a job of one record and one object in it.
std::string StoreWithAJob(const std::string& name) {
  const std::string folder = testing::TempDir() + name + "_" + std::to_string(::getpid());
  const auto store = OpenDriverStore({.url = "rocksdb:" + folder});
  EXPECT_TRUE(store.ok() && store->log->PutIfAbsent(1, "a record").ok() &&
              store->objects->PutIfAbsent("part-1", "state").ok());
  return folder;
}

void ExpectDiscardable(const std::string& folder) {
  const DriverStoreOptions anew = {
      .url = "rocksdb:" + folder, .fresh = true, .discard_checkpoint = true};
  const auto store = OpenDriverStore(anew);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_FALSE(store->known);
  EXPECT_TRUE(absl::IsNotFound(store->log->Get(1).status()));
  EXPECT_TRUE(absl::IsNotFound(store->objects->Get("part-1").status()));
  EXPECT_TRUE(std::filesystem::exists(folder + "/job"));
  std::filesystem::remove_all(folder);
}

// It was opened before it was discarded, and so ended every start with 8.
TEST(OpenStoreTest, ADamagedStoreCanBeDiscarded) {
  const std::string folder = StoreWithAJob("damaged");
  std::ofstream(folder + "/log/CURRENT") << "nonsense\n";
  ASSERT_EQ(ExitCodeOf(OpenDriverStore({.url = "rocksdb:" + folder}).status()), kExitDamaged);
  ExpectDiscardable(folder);
}

TEST(OpenStoreTest, AStoreThatWasLeftHalfDiscardedCanBeDiscarded) {
  for (const auto& gone : {std::vector<std::string>{"/log"}, {"/log.witness", "/log"}}) {
    const std::string folder = StoreWithAJob("halved");
    for (const std::string& name : gone) std::filesystem::remove_all(folder + name);
    ExpectDiscardable(folder);
  }
}

TEST(OpenStoreTest, AStoreThatALiveJobHasIsNotDiscarded) {
  const std::string folder = StoreWithAJob("live");
  {
    const auto live = OpenDriverStore({.url = "rocksdb:" + folder});
    ASSERT_TRUE(live.ok()) << live.status();
    EXPECT_TRUE(IsHeld(OpenDriverStore({.url = "rocksdb:" + folder,
                                        .fresh = true,
                                        .discard_checkpoint = true})
                           .status()));
    EXPECT_TRUE(live->objects->Get("part-1").ok());
  }
  EXPECT_TRUE(OpenDriverStore({.url = "rocksdb:" + folder})->log->Get(1).ok());
  std::filesystem::remove_all(folder);
}

TEST(OpenStoreTest, WhatCrashedWritersLeftIsSweptWhenADriverOpens) {
  const std::string folder = testing::TempDir() + "swept_" + std::to_string(::getpid());
  ASSERT_TRUE(OpenDriverStore({.url = "rocksdb:" + folder}).ok());
  const std::string aside = folder + "/objects/.aside/";
  for (const char* name : {"old", "new"}) std::ofstream(aside + name) << "half";
  std::filesystem::last_write_time(aside + "old", std::filesystem::file_time_type::clock::now() -
                                                      std::chrono::hours(2));
  EXPECT_TRUE(OpenDriverStore({.url = "rocksdb:" + folder}).ok());
  EXPECT_FALSE(std::filesystem::exists(aside + "old"));
  EXPECT_TRUE(std::filesystem::exists(aside + "new")) << "somebody may be at it";
  std::filesystem::remove_all(folder);
}

TEST(OpenStoreTest, ALogIsApartFromItsCheckpointOnlyInABucket) {
  const std::string folder = testing::TempDir() + "apart_" + std::to_string(::getpid());
  EXPECT_EQ(ExitCodeOf(OpenDriverStore({.url = "rocksdb:" + folder, .log_url = "rocksdb:/x"})
                           .status()),
            kExitRefused);
  EXPECT_EQ(ExitCodeOf(OpenDriverStore({.url = "s3://bucket/x", .log_url = "s3://bucket/y"})
                           .status()),
            kExitRefused);
}

// It ended the daemon that looked.
TEST(OpenStoreTest, ADirectoryThatCannotBeLookedIntoIsOutOfReach) {
  const std::string loop = testing::TempDir() + "loop_" + std::to_string(::getpid());
  std::filesystem::create_symlink(loop, loop);
  EXPECT_TRUE(absl::IsUnavailable(OpenObjectStore("rocksdb:" + loop + "/x").status()));
  std::filesystem::remove(loop);
}

// A job driver that was relaunched meanwhile ended its job for good, with 8.
TEST(OpenStoreTest, ALogThatCannotBeLookedForIsOutOfReach) {
  const std::string loop = testing::TempDir() + "loop_of_log_" + std::to_string(::getpid());
  std::filesystem::create_symlink(loop, loop);
  EXPECT_TRUE(absl::IsUnavailable(
      OpenDriverStore({.url = "rocksdb:" + loop + "/x", .must_exist = true}).status()));
  std::filesystem::remove(loop);
  const std::string folder = StoreWithAJob("looped");
  std::filesystem::remove_all(folder + "/log");
  std::filesystem::create_symlink("log", folder + "/log");
  EXPECT_TRUE(absl::IsUnavailable(
      OpenDriverStore({.url = "rocksdb:" + folder, .must_exist = true}).status()));
  std::filesystem::remove_all(folder);
}

TEST(OpenStoreTest, WhatIsNoUrlOpensNothing) {
  EXPECT_EQ(ExitCodeOf(OpenObjectStore("").status()), kExitUsage);
  EXPECT_EQ(ExitCodeOf(OpenObjectStore("/a/b").status()), kExitUsage);
  EXPECT_EQ(ExitCodeOf(OpenObjectStore("hdfs://host/x").status()), kExitRefused);
}

}  // namespace
}  // namespace sluice
