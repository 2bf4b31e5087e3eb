// What our requests do at a real S3 server, whose place and keys the environment names: signatures,
// conditions and the answers' forms are its own. Run by tests/system/s3_test.py.
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "checkpoint/driver_log.h"
#include "checkpoint/errors.h"
#include "checkpoint/s3_life.h"
#include "checkpoint/s3_log_store.h"
#include "checkpoint/s3_object_store.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr char kBucket[] = "bucket";

class S3ServerTest : public testing::Test {
 protected:
  S3ServerTest() : prefix_("checks=" + std::to_string(std::random_device()())) {
    auto connected = ConnectS3(kBucket);
    EXPECT_TRUE(connected.ok()) << connected.status();
    bucket_ = *std::move(connected);
  }
  S3Bucket InPieces() {
    return S3Bucket(kBucket, bucket_->client_ptr(),
                    {.whole_bytes_max = 1 << 20, .piece_bytes_min = 5 << 20, .page_keys = 10});
  }
  std::string Key(const std::string& name) { return prefix_ + "/" + name; }

  const std::string prefix_;
  std::shared_ptr<S3Bucket> bucket_;
};

std::string Large(size_t size) {
  std::mt19937_64 generator(7);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(generator());
  return bytes;
}

TEST_F(S3ServerTest, AnObjectIsPutOnceAndReadBack) {
  for (const char* name : {"a", "env=x@y+z~/b.c_d-e", "empty"}) {
    const std::string bytes = name == std::string("empty") ? "" : std::string("\0\xFF bytes", 8);
    const absl::Status put = bucket_->PutIfAbsent(Key(name), bytes);
    EXPECT_TRUE(put.ok()) << put;
    EXPECT_TRUE(absl::IsAlreadyExists(bucket_->PutIfAbsent(Key(name), "other")));
    const auto read = bucket_->Get(Key(name));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, bytes);
  }
  EXPECT_TRUE(absl::IsNotFound(bucket_->Get(Key("nothing")).status()));
}

TEST_F(S3ServerTest, TheEndpointHonoursConditions) {
  ASSERT_TRUE(bucket_->PutIfAbsent(Key("marker"), "m").ok());
  const absl::Status probed = bucket_->Probe(Key("marker"), true);
  EXPECT_TRUE(probed.ok()) << probed;
  EXPECT_EQ(*bucket_->Get(Key("marker")), "m");
}

TEST_F(S3ServerTest, OfManyWritersOneWins) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> winners = 0;
    std::vector<std::thread> writers;
    for (int i = 0; i < 8; ++i) {
      writers.emplace_back([&, i] {
        const absl::Status put =
            bucket_->PutIfAbsent(Key("race" + std::to_string(round)), std::to_string(i));
        if (put.ok()) ++winners;
        EXPECT_TRUE(put.ok() || absl::IsAlreadyExists(put)) << put;
      });
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_EQ(winners, 1);
  }
}

TEST_F(S3ServerTest, LargeObjectsGoInPieces) {
  S3Bucket bucket = InPieces();
  const std::string bytes = Large((12 << 20) + 17);
  const absl::Status put = bucket.PutIfAbsent(Key("large"), bytes);
  ASSERT_TRUE(put.ok()) << put;
  EXPECT_EQ(*bucket.Get(Key("large")), bytes);
  EXPECT_TRUE(absl::IsAlreadyExists(bucket.PutIfAbsent(Key("large"), bytes)));
  const std::string path = testing::TempDir() + "large_" + std::to_string(::getpid());
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_TRUE(bucket.PutFileIfAbsent(Key("file"), path).ok());
  EXPECT_EQ(*bucket.Get(Key("file")), bytes);
  ::unlink(path.c_str());
  EXPECT_TRUE(bucket.AbortUploads(prefix_ + "/", 0).ok());
}

TEST_F(S3ServerTest, ListingsGoOverPagesAndManyAreDeleted) {
  S3Bucket bucket = InPieces();
  for (int i = 0; i < 25; ++i) {
    ASSERT_TRUE(bucket.PutIfAbsent(Key("p/" + std::to_string(100 + i)), "x").ok());
  }
  const auto all = bucket.List(Key("p/"));
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 25u);
  EXPECT_EQ(all->front().key, Key("p/100"));
  EXPECT_EQ(all->front().bytes, 1u);
  EXPECT_LT(std::abs(all->front().modified_s - bucket.client().StoreTimeS()), 300);
  EXPECT_EQ(bucket.List(Key("p/"), Key("p/120"))->size(), 4u);
  std::vector<std::string> keys = {Key("p/nothing")};
  for (int i = 0; i < 24; ++i) keys.push_back(Key("p/" + std::to_string(100 + i)));
  const absl::Status deleted = bucket.Delete(keys);
  EXPECT_TRUE(deleted.ok()) << deleted;
  EXPECT_EQ(bucket.List(Key("p/"))->size(), 1u);
}

TEST_F(S3ServerTest, AJobIsOpenedWrittenAndTakenOver) {
  const CheckpointUrl url = *ParseCheckpointUrl(std::string("s3://") + kBucket + "/" + prefix_);
  auto first = OpenS3JobStore(bucket_, url, {.nonce = 1});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_FALSE(first->known);
  const auto now = [] { return RealClock().MonotonicUs(); };
  auto old_log = DriverLog::Open(first->log.get(), now, {.nonce = 2});
  ASSERT_TRUE(old_log.ok()) << old_log.status();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE((*old_log)->Append({std::to_string(i)}).ok());
  ASSERT_TRUE(first->objects->PutIfAbsent("part-x", "state").ok());
  auto second = OpenS3JobStore(bucket_, url, {.nonce = 3});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_TRUE(second->known);
  auto log = DriverLog::Open(second->log.get(), now, {.nonce = 4, .known_job = true});
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ((*log)->TakeReplayed().size(), 20u);
  EXPECT_TRUE(IsFenced((*old_log)->Append({"late"}).status()));
  EXPECT_EQ(*second->objects->Get("part-x"), "state");
  auto fresh = OpenS3JobStore(bucket_, url,
                              {.fresh = true, .discard_checkpoint = true, .nonce = 5});
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  EXPECT_EQ(fresh->life.number, 2u);
  EXPECT_TRUE(IsFenced((*log)->Append({"late"}).status()));
}

TEST_F(S3ServerTest, AWrongKeyIsDeniedAndNotShown) {
  S3Settings settings = *S3SettingsFrom(ProcessVariables(), kBucket);
  const Variables variables = [](const std::string& name) {
    if (name == "AWS_ACCESS_KEY_ID") return ProcessVariables()(name);
    return name == "AWS_SECRET_ACCESS_KEY" ? std::string("not-the-secret") : std::string();
  };
  S3Bucket bucket(kBucket, std::make_shared<S3Client>(NewS3HttpTransport(settings),
                                                      NewS3KeySource(variables, &RealClock()),
                                                      S3ClientOptions()));
  const absl::Status denied = bucket.PutIfAbsent(Key("x"), "x");
  EXPECT_TRUE(absl::IsPermissionDenied(denied)) << denied;
  EXPECT_EQ(denied.ToString().find("not-the-secret"), std::string::npos);
  EXPECT_TRUE(absl::IsNotFound(bucket_->Get(Key("x")).status()));
}

}  // namespace
}  // namespace sluice
