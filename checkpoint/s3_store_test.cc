// The driver log in a bucket, and the lives of a job there.
#include <string>
#include <vector>

#include "checkpoint/driver_log.h"
#include "checkpoint/errors.h"
#include "checkpoint/fake_s3.h"
#include "checkpoint/s3_life.h"
#include "checkpoint/s3_log_store.h"
#include "checkpoint/s3_object_store.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

class S3StoreTest : public testing::Test {
 protected:
  std::shared_ptr<S3Bucket> NewBucket(FakeS3* s3 = nullptr) {
    return std::make_shared<S3Bucket>("bucket", (s3 == nullptr ? &s3_ : s3)->NewClient(&clock_));
  }
  std::unique_ptr<DriverLog> OpenLog(LogStore* store, uint64_t nonce, bool known = false) {
    LogOpenOptions options;
    options.nonce = nonce;
    options.known_job = known;
    auto log = DriverLog::Open(store, [this] { return clock_.MonotonicUs(); }, options);
    EXPECT_TRUE(log.ok()) << log.status();
    return log.ok() ? *std::move(log) : nullptr;
  }
  absl::StatusOr<S3JobStore> OpenJob(S3JobOptions options = {}) {
    options.nonce = ++nonce_;
    return OpenS3JobStore(NewBucket(), url_, options);
  }
  // Opens it and its log, as a driver does.
  S3JobStore Started(const S3JobOptions& options = {}) {
    auto store = OpenJob(options);
    EXPECT_TRUE(store.ok()) << store.status();
    if (!store.ok()) return {};
    if (store->log != nullptr) OpenLog(store->log.get(), ++nonce_, store->known);
    return *std::move(store);
  }

  ManualClock clock_{1'000'000, 1'700'000'000'000};
  FakeS3 s3_;
  const CheckpointUrl url_ = *ParseCheckpointUrl("s3://bucket/wc");
  const S3Place place_{"wc", 1, false};
  uint64_t nonce_ = 100;
};

TEST_F(S3StoreTest, ALogIsWrittenAndTakenOver) {
  S3LogStore store(NewBucket(), place_);
  EXPECT_EQ(*store.DurableLength(), std::nullopt);
  auto first = OpenLog(&store, 1);
  ASSERT_TRUE(first->Append({"a", "b"}).ok());
  ASSERT_TRUE(first->Append({"c"}).ok());
  EXPECT_EQ(*store.DurableLength(), 3u);
  S3LogStore again(NewBucket(), place_);
  EXPECT_EQ(*again.DurableLength(), 3u);
  auto second = OpenLog(&again, 2, true);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->epoch(), 2u);
  std::string replayed;
  for (const ReplayedEntry& entry : second->TakeReplayed()) replayed += entry.payload;
  EXPECT_EQ(replayed, "abc");
}

TEST_F(S3StoreTest, AnAppendIsOnePut) {
  S3LogStore store(NewBucket(), place_);
  auto log = OpenLog(&store, 1);
  s3_.TakeRequests();
  ASSERT_TRUE(log->Append({"a"}).ok());
  EXPECT_EQ(s3_.TakeRequests(), std::vector<std::string>{"PUT " + place_.SlotKey(2)});
}

TEST_F(S3StoreTest, ADriverThatWakesUpIsFencedByItsOwnPut) {
  S3LogStore old_store(NewBucket(), place_);
  auto old_driver = OpenLog(&old_store, 1);
  ASSERT_TRUE(old_driver->Append({"a"}).ok());
  S3LogStore new_store(NewBucket(), place_);
  auto new_driver = OpenLog(&new_store, 2, true);
  const auto refused = old_driver->Append({"late"});
  EXPECT_TRUE(IsFenced(refused.status())) << refused.status();
  ASSERT_TRUE(new_driver->Append({"b"}).ok());
}

TEST_F(S3StoreTest, AnAppendWhoseAnswerWasLostIsThereOnce) {
  S3LogStore store(NewBucket(), place_);
  auto log = OpenLog(&store, 1);
  s3_.Add({.method = "PUT", .effect = true});
  ASSERT_TRUE(log->Append({"a"}).ok());
  EXPECT_EQ(log->last().slot, 2u);
  // No answer until the deadline, and a retry of the driver that finds its record.
  s3_.Add({.method = "PUT", .effect = true});
  s3_.Add(1'000, {});
  const auto unknown = log->Append({"b"});
  EXPECT_TRUE(absl::IsUnavailable(unknown.status())) << unknown.status();
  s3_.ClearFaults();
  ASSERT_TRUE(log->Retry().ok());
  EXPECT_EQ(log->last().slot, 3u);
  EXPECT_EQ(*store.DurableLength(), 3u);
}

TEST_F(S3StoreTest, AStaleListingIsMendedByThePut) {
  S3LogStore store(NewBucket(), place_);
  auto first = OpenLog(&store, 1);
  ASSERT_TRUE(first->Append({"a"}).ok());
  FakeS3 stale;  // lacks what came last
  S3Bucket copy("bucket", stale.NewClient(&clock_));
  for (uint64_t slot = 1; slot <= 2; ++slot) {
    ASSERT_TRUE(copy.PutIfAbsent(place_.SlotKey(slot), *store.Get(slot)).ok());
  }
  ASSERT_TRUE(first->Append({"b"}).ok());
  S3LogStore stale_store(NewBucket(&stale), place_);
  stale.Add({.method = "PUT", .before = [&] {
               ASSERT_TRUE(copy.PutIfAbsent(place_.SlotKey(3), *store.Get(3)).ok());
             }});
  auto second = OpenLog(&stale_store, 2, true);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->TakeReplayed().size(), 2u) << "the newest one was found by its slot";
}

TEST_F(S3StoreTest, AnEmptyLogOfAKnownJobOrAHoleIsDamage) {
  S3LogStore store(NewBucket(), place_);
  auto log = OpenLog(&store, 1);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(log->Append({"x"}).ok());
  s3_.Erase(place_.SlotKey(3));
  LogOpenOptions options;
  options.nonce = 2;
  options.known_job = true;
  const auto open = [&] {
    S3LogStore again(NewBucket(), place_);
    return DriverLog::Open(&again, [this] { return clock_.MonotonicUs(); }, options).status();
  };
  EXPECT_TRUE(IsDamaged(open())) << open();
  for (uint64_t slot = 1; slot <= 5; ++slot) s3_.Erase(place_.SlotKey(slot));
  EXPECT_TRUE(IsDamaged(open())) << open();
}

TEST_F(S3StoreTest, SlotsAreCollectedFromTheFront) {
  S3LogStore store(NewBucket(), place_);
  auto log = OpenLog(&store, 1);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(log->Append({"x"}).ok());
  ASSERT_TRUE(log->DeleteBelow(5).ok());
  EXPECT_EQ(*store.FirstSlot(), 5u);
  std::vector<uint64_t> slots;
  ASSERT_TRUE(store.ReadAll(1, [&](uint64_t slot, std::string_view) {
    slots.push_back(slot);
    return absl::OkStatus();
  }).ok());
  EXPECT_EQ(slots, (std::vector<uint64_t>{5, 6, 7}));
  EXPECT_TRUE(store.CutTail(7, "other").ok());
  EXPECT_TRUE(store.Get(7).ok());
  EXPECT_TRUE(store.CutTail(7, *store.Get(7)).ok());
  EXPECT_EQ(*store.DurableLength(), 6u);
}

TEST_F(S3StoreTest, ALongLogIsReadInOrder) {
  S3LogStore store(NewBucket(), place_);
  for (uint64_t slot = 1; slot <= 1'100; ++slot) {
    ASSERT_TRUE(store.PutIfAbsent(slot, std::to_string(slot)).ok());
  }
  uint64_t expected = 2;
  ASSERT_TRUE(store.ReadAll(2, [&](uint64_t slot, std::string_view bytes) {
    EXPECT_EQ(slot, expected);
    EXPECT_EQ(bytes, std::to_string(expected++));
    return absl::OkStatus();
  }).ok());
  EXPECT_EQ(expected, 1'101u);
}

TEST_F(S3StoreTest, AJobIsNewOnceAndThenKnown) {
  EXPECT_TRUE(absl::IsNotFound(OpenS3Objects(NewBucket(), url_).status()));
  const S3JobStore first = Started();
  EXPECT_FALSE(first.known);
  ASSERT_TRUE(first.objects->PutIfAbsent("part-1", "x").ok());
  EXPECT_TRUE(Started().known);
  auto reader = OpenS3Objects(NewBucket(), url_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(*(*reader)->Get("part-1"), "x");
  EXPECT_EQ(ExitCodeOf(OpenJob({.fresh = true}).status()), kExitRefused);
  const CheckpointUrl spread = *ParseCheckpointUrl("s3://bucket/wc?spread=first");
  EXPECT_EQ(ExitCodeOf(OpenS3JobStore(NewBucket(), spread, {}).status()), kExitRefused);
  EXPECT_EQ(ExitCodeOf(OpenS3Objects(NewBucket(), spread).status()), kExitRefused);
  EXPECT_EQ(ExitCodeOf(OpenJob({.log_place = "rocksdb:/x"}).status()), kExitRefused);
}

TEST_F(S3StoreTest, ADriverThatCrashedBeforeItsFirstSlotLeavesANewJob) {
  ASSERT_TRUE(OpenJob().ok());
  EXPECT_FALSE(Started().known);
  EXPECT_TRUE(Started().known);
}

TEST_F(S3StoreTest, ADriverThatCrashedBetweenSlotAndMarkerLeavesAKnownJob) {
  Started();
  s3_.Erase(place_.begun_key());
  EXPECT_TRUE(OpenJob()->known);
  for (const std::string& key : s3_.Keys()) {
    if (key.find("/log/") != std::string::npos) s3_.Erase(key);
  }
  EXPECT_TRUE(OpenJob()->known) << "the marker was put when it was missed";
}

TEST_F(S3StoreTest, ALogThatIsGoneIsNotTakenForANewJob) {
  Started();
  for (const std::string& key : s3_.Keys()) {
    if (key.find("/log/") != std::string::npos) s3_.Erase(key);
  }
  EXPECT_TRUE(OpenJob()->known);
}

TEST_F(S3StoreTest, AnEndpointThatIgnoresConditionsIsRefusedBeforeAnythingIsWritten) {
  FakeS3 ignores({.conditional_puts = false});
  const auto refused = OpenS3JobStore(NewBucket(&ignores), url_, {});
  EXPECT_EQ(ExitCodeOf(refused.status()), kExitRefused) << refused.status();
  EXPECT_NE(refused.status().ToString().find("If-None-Match"), std::string::npos);
  EXPECT_TRUE(ignores.Keys().empty());
}

TEST_F(S3StoreTest, ADriverOfACheckpointThatWasGivenUpIsFenced) {
  S3JobStore old_store = Started();
  auto old_driver = OpenLog(old_store.log.get(), 7, true);
  ASSERT_TRUE(old_driver->Append({"a"}).ok());
  ASSERT_TRUE(old_store.objects->PutIfAbsent("part-1", "old").ok());
  const S3JobStore fresh = Started({.fresh = true, .discard_checkpoint = true});
  EXPECT_FALSE(fresh.known);
  EXPECT_EQ(fresh.life.number, 2u);
  EXPECT_TRUE(fresh.objects->List("")->empty());
  const auto late = old_driver->Append({"late"});
  EXPECT_TRUE(IsFenced(late.status())) << late.status();
  const auto old_keys = [this] {
    size_t count = 0;
    for (const std::string& key : s3_.Keys()) {
      count += key.find("wc/00000001/") != std::string::npos || key == "wc/life-00000001";
    }
    return count;
  };
  EXPECT_EQ(old_keys(), 2u) << "the slot that fences, and its marker";
  clock_.Advance(int64_t{601} * 1'000'000);
  s3_.SetTime(1'700'000'601);
  EXPECT_TRUE(Started().known);
  EXPECT_EQ(old_keys(), 0u);
}

// By this host's time the fence was old enough to go at once.
TEST_F(S3StoreTest, AFenceStaysWhereThisHostsClockIsAhead) {
  clock_.Advance(int64_t{660} * 1'000'000);  // by less than the store refuses
  S3JobStore old_store = Started();
  auto old_driver = OpenLog(old_store.log.get(), 7, true);
  ASSERT_TRUE(old_driver->Append({"a"}).ok());
  Started({.fresh = true, .discard_checkpoint = true});
  EXPECT_TRUE(IsFenced(old_driver->Append({"late"}).status()));
}

TEST_F(S3StoreTest, LivesWithTheDigitInFrontAreGivenUpWhole) {
  const CheckpointUrl spread = *ParseCheckpointUrl("s3://bucket/wc?spread=first");
  auto store = OpenS3JobStore(NewBucket(), spread, {.nonce = 1});
  ASSERT_TRUE(store.ok()) << store.status();
  OpenLog(store->log.get(), 2);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(store->objects->PutIfAbsent("part-" + std::to_string(i), "x").ok());
  }
  EXPECT_EQ(store->objects->List("part-1")->size(), 11u);
  clock_.Advance(int64_t{601} * 1'000'000);
  s3_.SetTime(1'700'000'601);
  auto fresh = OpenS3JobStore(NewBucket(), spread,
                              {.fresh = true, .discard_checkpoint = true, .nonce = 3});
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  for (const std::string& key : s3_.Keys()) {
    EXPECT_EQ(key.find("/objects/"), std::string::npos) << key;
  }
  ASSERT_TRUE(fresh->objects->PutIfAbsent("part-1", "x").ok());
  EXPECT_NE(s3_.Keys().front().find("-sluice/wc/00000002/objects/part-1"), std::string::npos);
}

TEST_F(S3StoreTest, WhatIsNoMarkerIsDamage) {
  ASSERT_TRUE(NewBucket()->PutIfAbsent("wc/life-00000001", "something else").ok());
  EXPECT_TRUE(IsDamaged(OpenJob().status()));
  s3_.Erase("wc/life-00000001");
  ASSERT_TRUE(NewBucket()->PutIfAbsent("wc/life-x", "").ok());
  EXPECT_TRUE(IsDamaged(OpenJob().status()));
}

}  // namespace
}  // namespace sluice
