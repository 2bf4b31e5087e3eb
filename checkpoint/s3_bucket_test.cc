// Puts once, whatever happens to requests: S3Client and S3Bucket against a scripted endpoint.
#include "checkpoint/s3_bucket.h"

#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "checkpoint/errors.h"
#include "checkpoint/fake_s3.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

class S3BucketTest : public testing::Test {
 protected:
  S3BucketTest() { UseEndpoint(&s3_); }
  void UseEndpoint(FakeS3* s3) {
    clock_.SetWallMs(1'700'000'000'000);
    client_ = s3->NewClient(&clock_, &waits_);
    bucket_ = std::make_unique<S3Bucket>("bucket", client_,
                                         S3BucketOptions{.whole_bytes_max = 100,
                                                         .piece_bytes_min = 40,
                                                         .page_keys = 2});
  }

  FakeS3 s3_;
  ManualClock clock_;
  std::vector<int64_t> waits_;
  std::shared_ptr<S3Client> client_;
  std::unique_ptr<S3Bucket> bucket_;
};

TEST_F(S3BucketTest, APutIsOneRequest) {
  EXPECT_TRUE(bucket_->PutIfAbsent("p/a", "one").ok());
  EXPECT_EQ(s3_.TakeRequests(), std::vector<std::string>{"PUT p/a"});
  EXPECT_TRUE(absl::IsAlreadyExists(bucket_->PutIfAbsent("p/a", "two")));
  EXPECT_EQ(*bucket_->Get("p/a"), "one");
  EXPECT_TRUE(absl::IsNotFound(bucket_->Get("p/b").status()));
}

TEST_F(S3BucketTest, APutWhoseAnswerWasLostHasSucceeded) {
  s3_.Add({.method = "PUT", .effect = true});
  EXPECT_TRUE(bucket_->PutIfAbsent("a", "ours").ok());
  EXPECT_EQ(s3_.TakeRequests(), (std::vector<std::string>{"PUT a", "PUT a", "HEAD a"}));
}

TEST_F(S3BucketTest, APutThatFailedByAnswerButTookEffectHasSucceeded) {
  s3_.Add({.method = "PUT", .status = 500, .code = "InternalError", .effect = true});
  EXPECT_TRUE(bucket_->PutIfAbsent("a", "ours").ok());
}

TEST_F(S3BucketTest, AnotherWriterBetweenTwoTriesWins) {
  S3Bucket other("bucket", s3_.NewClient(&clock_));
  s3_.Add({.method = "PUT", .status = 503, .code = "SlowDown"});
  s3_.Add({.method = "PUT", .before = [&] { EXPECT_TRUE(other.PutIfAbsent("a", "ours").ok()); }});
  EXPECT_TRUE(absl::IsAlreadyExists(bucket_->PutIfAbsent("a", "ours"))) << "even with these bytes";
}

// The default page of a proxy, which was taken for an object that is gone.
TEST_F(S3BucketTest, ANotFoundThatIsNotTheStoresIsTriedAgain) {
  EXPECT_TRUE(bucket_->PutIfAbsent("a", "ours").ok());
  s3_.Add(2, {.method = "GET", .status = 404});
  EXPECT_EQ(bucket_->Get("a").value_or("none"), "ours");
  s3_.Add(100, {.method = "GET", .status = 404});
  EXPECT_TRUE(absl::IsUnavailable(bucket_->Get("a").status()));
  s3_.ClearFaults();
  EXPECT_TRUE(absl::IsNotFound(bucket_->Get("b").status()));
}

TEST_F(S3BucketTest, AConflictIsTriedAgain) {
  s3_.Add(2, {.method = "PUT", .status = 409, .code = "ConditionalRequestConflict"});
  EXPECT_TRUE(bucket_->PutIfAbsent("a", "ours").ok());
  EXPECT_EQ(s3_.TakeRequests().size(), 3u);
}

TEST_F(S3BucketTest, ABusyStoreIsAskedLessAndLessOften) {
  s3_.Add(8, {.status = 503, .code = "SlowDown"});
  EXPECT_TRUE(bucket_->PutIfAbsent("a", "x").ok());
  ASSERT_EQ(waits_.size(), 8u);
  int64_t limit_us = 50'000;
  int64_t sum_us = 0;
  for (const int64_t wait_us : waits_) {
    EXPECT_GT(wait_us, 0);
    EXPECT_LE(wait_us, limit_us);
    limit_us = std::min<int64_t>(limit_us * 2, 5'000'000);
    sum_us += wait_us;
  }
  EXPECT_GT(sum_us, 200'000) << "they do grow";
  EXPECT_NE(waits_[6] * 2, waits_[7]) << "they are random";
}

TEST_F(S3BucketTest, TriesEndAtOneDeadline) {
  s3_.Add(1'000, {.status = 503, .code = "SlowDown"});
  const MonotonicTime begin = clock_.MonotonicUs();
  const absl::Status status = bucket_->PutIfAbsent("a", "x");
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.ToString().find("503 SlowDown"), std::string::npos) << status;
  EXPECT_GE(clock_.MonotonicUs() - begin, 20'000'000);
  EXPECT_LE(clock_.MonotonicUs() - begin, 25'000'000);
  EXPECT_GT(s3_.faults_left(), 900u);
}

TEST_F(S3BucketTest, TenMinutesOf503AreAskedSeldomAndTheFirstAnswerIsTaken) {
  constexpr int64_t kTenMinutesUs = 600'000'000;
  s3_.Add(100'000, {.status = 503, .code = "SlowDown"});
  const MonotonicTime begin = clock_.MonotonicUs();
  int puts = 0;
  for (; clock_.MonotonicUs() - begin < kTenMinutesUs; ++puts) {  // as the log and checkpoints do
    EXPECT_TRUE(absl::IsUnavailable(bucket_->PutIfAbsent("a", "x")));
  }
  EXPECT_LE(puts, 30);
  EXPECT_LE(s3_.TakeRequests().size(), 20u * puts);
  s3_.ClearFaults();
  const MonotonicTime healed = clock_.MonotonicUs();
  EXPECT_TRUE(bucket_->PutIfAbsent("a", "x").ok());
  EXPECT_EQ(clock_.MonotonicUs(), healed);
}

TEST_F(S3BucketTest, RefusedKeysAreReadAgainOnceAndThenDenied) {
  s3_.Add({.status = 403, .code = "ExpiredToken"});
  EXPECT_TRUE(bucket_->PutIfAbsent("a", "x").ok());
  s3_.Add(10, {.status = 403, .code = "AccessDenied"});
  s3_.TakeRequests();
  EXPECT_TRUE(absl::IsPermissionDenied(bucket_->PutIfAbsent("b", "x")));
  EXPECT_EQ(s3_.TakeRequests().size(), 2u);
}

// Keys of a file that another process renews.
class RenewedKeys : public S3KeySource {
 public:
  absl::StatusOr<S3Keys> Get() override { return S3Keys{"access", "secret", token_}; }
  void Refused() override { token_ = "second"; }

 private:
  std::string token_ = "first";
};

TEST_F(S3BucketTest, AnExpiredTokenIsRenewedWithinTheRequest) {
  S3ClientOptions options;
  options.clock = &clock_;
  S3Bucket bucket("bucket", std::make_shared<S3Client>(s3_.NewTransport(),
                                                       std::make_unique<RenewedKeys>(), options));
  s3_.AcceptOnly("access", "second", "ExpiredToken");
  EXPECT_TRUE(bucket.PutIfAbsent("a", "x").ok());
  EXPECT_EQ(s3_.TakeRequests().size(), 2u);
}

TEST_F(S3BucketTest, AClockThatIsOffIsMendedOnce) {
  s3_.SetTime(1'700'000'000 + 3'600);
  EXPECT_TRUE(bucket_->PutIfAbsent("a", "x").ok());
  EXPECT_TRUE(bucket_->PutIfAbsent("b", "x").ok());
  EXPECT_EQ(s3_.TakeRequests(), (std::vector<std::string>{"PUT a", "PUT a", "PUT b"}));
  EXPECT_EQ(client_->StoreTimeS(), 1'700'003'600);
}

TEST_F(S3BucketTest, WhatTheStoreDoesNotKnowIsRefusedAndWhatIsFullIsFull) {
  s3_.Add({.status = 501, .code = "NotImplemented"});
  EXPECT_EQ(ExitCodeOf(bucket_->PutIfAbsent("a", "x")), kExitRefused);
  s3_.Add({.status = 404, .code = "NoSuchBucket"});
  EXPECT_EQ(ExitCodeOf(bucket_->Get("a").status()), kExitRefused);
  s3_.Add({.status = 400, .code = "AuthorizationHeaderMalformed"});
  EXPECT_EQ(ExitCodeOf(bucket_->List("a").status()), kExitRefused);
  s3_.Add({.status = 400, .code = "InvalidArgument"});
  EXPECT_EQ(ExitCodeOf(bucket_->List("a").status()), kExitRefused);
  s3_.Add({.status = 507});
  EXPECT_TRUE(absl::IsResourceExhausted(bucket_->PutIfAbsent("a", "x")));
  s3_.Add({.status = 400, .code = "BadDigest"});
  EXPECT_TRUE(bucket_->PutIfAbsent("a", "x").ok()) << "spoiled on its way, and sent again";
}

TEST_F(S3BucketTest, BytesThatChangedAreDamageAndBytesReadWrongAreReadAgain) {
  ASSERT_TRUE(bucket_->PutIfAbsent("a", "bytes").ok());
  ASSERT_TRUE(s3_.FlipBit("a", 3));
  s3_.Add({.method = "GET", .before = [] {}});
  s3_.Add({.method = "GET", .before = [this] { s3_.FlipBit("a", 3); }});
  EXPECT_EQ(*bucket_->Get("a"), "bytes");
  ASSERT_TRUE(s3_.FlipBit("a", 3));
  const auto damaged = bucket_->Get("a");
  EXPECT_TRUE(IsDamaged(damaged.status())) << damaged.status();
  EXPECT_NE(damaged.status().ToString().find("s3://bucket/a"), std::string::npos);
}

TEST_F(S3BucketTest, ListingsGoOverPages) {
  FakeS3 s3({.page_keys = 2});
  UseEndpoint(&s3);
  for (const char* key : {"p/1", "p/2", "p/3", "p/4&<", "p/5", "q/1"}) {
    ASSERT_TRUE(bucket_->PutIfAbsent(key, "x").ok());
  }
  const auto all = bucket_->List("p/");
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 5u);
  EXPECT_EQ(all->at(3).key, "p/4&<");
  EXPECT_EQ(bucket_->List("p/", "p/3")->size(), 2u);
  EXPECT_TRUE(bucket_->Delete({"p/1", "p/2", "p/3", "p/4&<", "nothing"}).ok());
  EXPECT_EQ(s3.Keys(), (std::vector<std::string>{"p/5", "q/1"}));
}

std::string Large() {
  std::string bytes;
  for (int i = 0; bytes.size() < 1'000; ++i) bytes += std::to_string(i) + ",";
  return bytes;
}

TEST_F(S3BucketTest, ALargeObjectGoesInPiecesAndIsThereAtOnce) {
  EXPECT_TRUE(bucket_->PutIfAbsent("a", Large()).ok());
  EXPECT_EQ(*bucket_->Get("a"), Large());
  EXPECT_EQ(s3_.uploads(), 0u);
  EXPECT_TRUE(absl::IsAlreadyExists(bucket_->PutIfAbsent("a", Large())));
  EXPECT_EQ(s3_.uploads(), 0u) << "the upload that lost is aborted";
}

TEST_F(S3BucketTest, AFileIsPutInPieces) {
  const std::string path = testing::TempDir() + "large_" + std::to_string(::getpid());
  std::ofstream(path, std::ios::binary) << Large();
  EXPECT_TRUE(bucket_->PutFileIfAbsent("a", path).ok());
  EXPECT_EQ(*bucket_->Get("a"), Large());
  ::unlink(path.c_str());
  EXPECT_FALSE(bucket_->PutFileIfAbsent("b", path).ok());
}

TEST_F(S3BucketTest, EachRequestOfAnUploadMayFailInEachWay) {
  const std::vector<std::string> steps = {"?uploads", "?partNumber", "POST a?uploadId"};
  for (const std::string& step : steps) {
    for (const bool effect : {false, true}) {
      for (const int status : {0, 500, 503, 409}) {
        FakeS3 s3;
        UseEndpoint(&s3);
        s3.Add({.key_part = step, .status = status, .effect = effect});
        EXPECT_TRUE(bucket_->PutIfAbsent("a", Large()).ok()) << step << status << effect;
        EXPECT_EQ(*bucket_->Get("a"), Large()) << step << status << effect;
        EXPECT_EQ(s3.faults_left(), 0u) << step;
      }
    }
  }
}

TEST_F(S3BucketTest, ACompletionThatFailsBehindA200IsTriedAgain) {
  s3_.Add({.key_part = "POST a?uploadId", .status = 200, .code = "InternalError"});
  EXPECT_TRUE(bucket_->PutIfAbsent("a", Large()).ok());
  s3_.Add({.key_part = "POST b?uploadId", .status = 200, .code = "PreconditionFailed"});
  EXPECT_TRUE(absl::IsAlreadyExists(bucket_->PutIfAbsent("b", Large())));
}

TEST_F(S3BucketTest, UploadsThatCrashedWritersLeftAreAborted) {
  S3Request begin{"POST", "p/left"};
  begin.query = {{"uploads", ""}};
  ASSERT_TRUE(client_->Call(begin).ok());
  begin.key = "q/of-others";
  ASSERT_TRUE(client_->Call(begin).ok());
  EXPECT_TRUE(bucket_->AbortUploads("p/", 3'600).ok());
  EXPECT_EQ(s3_.uploads(), 2u) << "they may be under way";
  clock_.SetWallMs(1'700'003'700'000);
  s3_.SetTime(1'700'003'700);
  EXPECT_TRUE(bucket_->AbortUploads("p/", 3'600).ok());
  EXPECT_EQ(s3_.uploads(), 1u);
}

TEST_F(S3BucketTest, AnEndpointIsTriedForWhatItReallyDoes) {
  ASSERT_TRUE(bucket_->PutIfAbsent("marker", "m").ok());
  EXPECT_TRUE(bucket_->Probe("marker", true).ok());
  FakeS3 ignores({.conditional_puts = false});
  UseEndpoint(&ignores);
  ASSERT_TRUE(bucket_->PutIfAbsent("marker", "m").ok());
  const absl::Status refused = bucket_->Probe("marker", true);
  EXPECT_EQ(ExitCodeOf(refused), kExitRefused) << refused;
  EXPECT_NE(refused.ToString().find("takes If-None-Match and ignores it"), std::string::npos);
  FakeS3 half({.conditional_uploads = false});
  UseEndpoint(&half);
  ASSERT_TRUE(bucket_->PutIfAbsent("marker", "m").ok());
  EXPECT_EQ(ExitCodeOf(bucket_->Probe("marker", true)), kExitRefused);
  EXPECT_EQ(*bucket_->Get("marker"), "m");
  UseEndpoint(&s3_);
  s3_.Add({.method = "PUT", .status = 501, .code = "NotImplemented"});
  EXPECT_EQ(ExitCodeOf(bucket_->Probe("marker", true)), kExitRefused);
}

}  // namespace
}  // namespace sluice
