// What every object store promises, tried on each of them; and what only files can do.
#include "checkpoint/object_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/errors.h"
#include "checkpoint/fake_s3.h"
#include "checkpoint/lossy_disk.h"
#include "checkpoint/memory_object_store.h"
#include "checkpoint/posix_object_store.h"
#include "checkpoint/s3_object_store.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> Names(ObjectStore* store, const std::string& prefix) {
  std::vector<std::string> names;
  const auto found = store->List(prefix);
  EXPECT_TRUE(found.ok()) << found.status();
  if (!found.ok()) return names;
  for (const ObjectInfo& info : *found) names.push_back(info.name);
  return names;
}

class ObjectStoreTest : public testing::TestWithParam<std::string> {
 protected:
  ObjectStoreTest() : root_(testing::TempDir() + "objects_" + std::to_string(::getpid())) {
    fs::remove_all(root_);
    if (GetParam() == "memory") {
      store_ = std::make_unique<MemoryObjectStore>();
    } else if (GetParam().starts_with("s3")) {
      const S3Place place{"a/prefix", 1, GetParam() == "s3_spread_first"};
      auto bucket = std::make_shared<S3Bucket>("bucket", s3_.NewClient(&clock_));
      store_ = std::make_unique<S3ObjectStore>(std::move(bucket), place);
    } else {
      auto store = PosixObjectStore::Open(root_ + "/objects");
      EXPECT_TRUE(store.ok()) << store.status();
      store_ = *std::move(store);
    }
  }
  ~ObjectStoreTest() override { fs::remove_all(root_); }

  std::string root_;
  ManualClock clock_{1'000'000, 1'700'000'000'000};
  FakeS3 s3_;
  std::unique_ptr<ObjectStore> store_;
};

TEST_P(ObjectStoreTest, AnObjectIsPutOnceAndReadBack) {
  EXPECT_TRUE(store_->PutIfAbsent("a/b", "first").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(store_->PutIfAbsent("a/b", "second")));
  EXPECT_EQ(*store_->Get("a/b"), "first");
  EXPECT_TRUE(store_->PutIfAbsent("empty", "").ok());
  EXPECT_EQ(*store_->Get("empty"), "");
  EXPECT_TRUE(absl::IsNotFound(store_->Get("a/c").status()));
}

TEST_P(ObjectStoreTest, AFileIsPutWhole) {
  fs::create_directories(root_);
  const std::string path = root_ + "/source";
  const std::string bytes(3 << 20, 'x');
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_TRUE(store_->PutFileIfAbsent("big", path).ok());
  EXPECT_EQ(*store_->Get("big"), bytes);
  EXPECT_TRUE(absl::IsAlreadyExists(store_->PutFileIfAbsent("big", path)));
  EXPECT_FALSE(store_->PutFileIfAbsent("other", root_ + "/nothing").ok());
  EXPECT_TRUE(absl::IsNotFound(store_->Get("other").status()));
}

TEST_P(ObjectStoreTest, NamesAreListedInOrderByPrefix) {
  for (const char* name : {"part-2", "part-1", "manifest-1", "deep/x"}) {
    ASSERT_TRUE(store_->PutIfAbsent(name, "12345").ok());
  }
  EXPECT_EQ(Names(store_.get(), "part-"), (std::vector<std::string>{"part-1", "part-2"}));
  EXPECT_EQ(Names(store_.get(), "").size(), 4u);
  EXPECT_EQ(store_->List("deep/")->at(0).bytes, 5u);
  EXPECT_TRUE(store_->Delete("part-1").ok());
  EXPECT_TRUE(store_->Delete("part-1").ok());
  EXPECT_EQ(Names(store_.get(), "part-"), (std::vector<std::string>{"part-2"}));
}

TEST_P(ObjectStoreTest, NoNameLeavesTheRoot) {
  const std::vector<std::string> bad = {"",     "/etc/x", "..",    "../x",   "a/../b", "a//b",
                                        "a/",   ".x",     "a/.x",  "a b",    "a\nb",   "ä",
                                        std::string("a\0b", 3),    std::string(201, 'a'),
                                        "1/2/3/4/5/6/7/8/9"};
  for (const std::string& name : bad) {
    EXPECT_TRUE(absl::IsInvalidArgument(store_->PutIfAbsent(name, "x"))) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(store_->Get(name).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(store_->Delete(name))) << name;
  }
  EXPECT_TRUE(store_->PutIfAbsent("1/2/3/4/5/6/7/A-z_0.sst", "x").ok());
}

INSTANTIATE_TEST_SUITE_P(All, ObjectStoreTest,
                         testing::Values("memory", "posix", "s3", "s3_spread_first"),
                         [](const auto& info) { return info.param; });

class PosixObjectStoreTest : public testing::Test {
 protected:
  PosixObjectStoreTest() : root_(testing::TempDir() + "posix_" + std::to_string(::getpid())) {
    fs::remove_all(root_);
  }
  ~PosixObjectStoreTest() override { fs::remove_all(root_); }
  std::unique_ptr<PosixObjectStore> Open(FileOps* files) {
    auto store = PosixObjectStore::Open(root_ + "/objects", files);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  std::string root_;
};

TEST_F(PosixObjectStoreTest, WhatWasPutSurvivesADiskThatForgets) {
  LossyFileOps files;
  auto store = Open(&files);
  ASSERT_TRUE(store->PutIfAbsent("x/one", "1").ok());
  files.Kill();
  EXPECT_EQ(*Open(&files)->Get("x/one"), "1");
}

TEST_F(PosixObjectStoreTest, WhatCouldNotBeSyncedIsWrittenToANewFile) {
  LossyFileOps disk;
  auto store = Open(&disk);
  disk.FailNextSync();
  EXPECT_TRUE(absl::IsUnavailable(store->PutIfAbsent("a/b", "bytes")));
  EXPECT_TRUE(absl::IsNotFound(store->Get("a/b").status()));
  ASSERT_TRUE(store->PutIfAbsent("a/b", "bytes").ok());
  disk.Kill();
  EXPECT_EQ(*store->Get("a/b"), "bytes");
}

TEST_F(PosixObjectStoreTest, AFullDiskLeavesNothingUnderTheName) {
  LossyFileOps files;
  auto store = Open(&files);
  files.SetFull(true);
  EXPECT_TRUE(absl::IsResourceExhausted(store->PutIfAbsent("one", "1")));
  EXPECT_TRUE(Names(store.get(), "").empty());
  files.SetFull(false);
  EXPECT_TRUE(store->PutIfAbsent("one", "1").ok());
}

// Every put behind it would fail, for as long as the job runs.
TEST_F(PosixObjectStoreTest, AFolderOnAnotherMountIsRefusedAtTheStart) {
  const std::string other = "/dev/shm/objects_" + std::to_string(::getpid());
  struct stat here, there;
  ASSERT_TRUE(fs::create_directories(root_ + "/objects"));
  if (!fs::create_directories(other) || ::stat(root_.c_str(), &here) != 0 ||
      ::stat(other.c_str(), &there) != 0 || here.st_dev == there.st_dev) {
    GTEST_SKIP() << "there is no second mount here";
  }
  fs::create_directory_symlink(other, root_ + "/objects/state");
  const absl::Status refused = PosixObjectStore::Open(root_ + "/objects").status();
  fs::remove_all(other);
  EXPECT_EQ(ExitCodeOf(refused), kExitRefused) << refused;
  EXPECT_NE(refused.message().find("/objects/state is another"), std::string::npos) << refused;
  fs::remove(root_ + "/objects/state");
  EXPECT_TRUE(PosixObjectStore::Open(root_ + "/objects").ok());
}

TEST_F(PosixObjectStoreTest, WhatCrashedWritersLeftIsSweptAndNeverListed) {
  auto store = Open(FileOps::Posix());
  const std::string left = root_ + "/objects/.aside/left";
  std::ofstream(left) << "half";
  EXPECT_TRUE(Names(store.get(), "").empty());
  EXPECT_TRUE(store->SweepAside(3600).ok());
  EXPECT_TRUE(fs::exists(left));
  EXPECT_TRUE(store->SweepAside(-1).ok());
  EXPECT_FALSE(fs::exists(left));
}

TEST(MemoryObjectStoreTest, FaultsHappenWhenTheyAreOn) {
  MemoryObjectStore store;
  store.SetFaults({.fail_puts = 1, .unknown_puts = 1});
  EXPECT_TRUE(absl::IsUnavailable(store.PutIfAbsent("a", "x")));
  EXPECT_TRUE(absl::IsUnavailable(store.PutIfAbsent("a", "x")));
  EXPECT_TRUE(absl::IsAlreadyExists(store.PutIfAbsent("a", "x")));
  store.SetFaults({.fail_gets = 1, .full = true});
  EXPECT_FALSE(store.Get("a").ok());
  EXPECT_TRUE(absl::IsResourceExhausted(store.PutIfAbsent("b", "x")));
  store.SetFaults({.forget_unsynced = true});
  EXPECT_TRUE(store.PutIfAbsent("b", "xx").ok());
  store.Crash();
  EXPECT_EQ(Names(&store, ""), (std::vector<std::string>{"a"}));
  store.SetFaults({.forget_unsynced = true, .tear_unsynced = true});
  EXPECT_TRUE(store.PutIfAbsent("b", "xx").ok());
  store.Crash();
  EXPECT_EQ(*store.Get("b"), "x");
}

}  // namespace
}  // namespace sluice
