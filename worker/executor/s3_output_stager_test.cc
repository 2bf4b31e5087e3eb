#include "worker/executor/s3_output_stager.h"

#include <gtest/gtest.h>

#include "checkpoint/fake_s3.h"

namespace sluice {
namespace {

constexpr char kMark[] = "p/.sluice-uploads-out.csv/0000000000000abc";

class S3OutputStagerTest : public testing::Test {
 protected:
  S3OutputStagerTest() {
    part_ = {"s3://bucket/p/out", 0xabc, 1000, 2, {3, 4}, 7};
    part_.suffix = "csv";
    lines_.Append("one");
    lines_.Append("two");
  }
  void Stage() {
    staged_.Clear();
    const absl::Status status = stager_.Stage(part_, lines_.view(), &staged_);
    ASSERT_TRUE(status.ok()) << status;
  }

  FakeS3 s3_;
  ManualClock clock_;
  std::shared_ptr<S3Bucket> bucket_ = std::make_shared<S3Bucket>("bucket", s3_.NewClient(&clock_));
  OutputBuckets buckets_{[this](const std::string&) { return bucket_; }};
  S3OutputStager stager_{&buckets_};
  StagedPart part_;
  proto::OutputPart staged_;
  RecordBatch lines_;
};

TEST_F(S3OutputStagerTest, APartIsAnUploadToItsFinalKeyThatNobodySees) {
  Stage();
  EXPECT_EQ(s3_.Keys(), std::vector<std::string>{kMark});
  EXPECT_EQ(staged_.upload().key(), "p/out-1000.csv/part-00007");
  EXPECT_EQ(staged_.upload().nonce(), "0000000000000abc-1000-2-7");
  EXPECT_EQ(staged_.bytes(), 8u);
  const auto& open = staged_.upload();
  ASSERT_TRUE(bucket_->CompleteUpload({open.key(), open.id(),
                                       {open.etags().begin(), open.etags().end()},
                                       open.nonce()}).ok());
  EXPECT_EQ(*bucket_->Get("p/out-1000.csv/part-00007"), "one\ntwo\n");
}

TEST_F(S3OutputStagerTest, APartThatIsStagedTwiceIsTwoUploadsOfWhichOneIsReported) {
  Stage();
  const std::string first = staged_.upload().id();
  Stage();
  EXPECT_NE(staged_.upload().id(), first);
}

// Other jobs go by it: an upload must never be there before it.
TEST_F(S3OutputStagerTest, WhoseUploadsTheyAreIsSaidOnceAndBeforeTheFirst) {
  s3_.Add(1000, {.method = "PUT", .key_part = "sluice-uploads", .status = 503, .code = "SlowDown"});
  EXPECT_TRUE(absl::IsUnavailable(stager_.Stage(part_, lines_.view(), &staged_)));
  EXPECT_EQ(s3_.uploads(), 0u);
  s3_.ClearFaults();
  Stage();
  s3_.TakeRequests();
  Stage();
  for (const std::string& request : s3_.TakeRequests()) {
    EXPECT_EQ(request.find("sluice-uploads"), std::string::npos) << request;
  }
}

TEST_F(S3OutputStagerTest, AnEmptyPartTakesNoRequest) {
  lines_.Clear();
  Stage();
  EXPECT_EQ(staged_.upload().id(), "");
  EXPECT_TRUE(s3_.TakeRequests().empty());
}

TEST_F(S3OutputStagerTest, WhatRollsIsAnObjectBesideTheTargetOfAnotherNameAtEveryTry) {
  part_.rolls = true;
  part_.header = "head";
  Stage();
  const std::string directory = "p/.sluice-0000000000000abc-1000-2-e3g4";
  EXPECT_EQ(staged_.staged_path(), "s3://bucket/" + directory);
  EXPECT_EQ(*bucket_->Get(directory + "/" + staged_.name()), "one\ntwo\n");
  const std::string first = staged_.name();
  Stage();
  EXPECT_NE(staged_.name(), first);
  EXPECT_EQ(s3_.Keys().size(), 2u);
}

// A store that is away is no failure of the task.
TEST_F(S3OutputStagerTest, AStoreThatIsAwayIsUnavailable) {
  s3_.Add(1000, {.status = 503, .code = "SlowDown"});
  EXPECT_TRUE(absl::IsUnavailable(stager_.Stage(part_, lines_.view(), &staged_)));
}

TEST_F(S3OutputStagerTest, ABucketIsTriedByAnUploadThatIsAborted) {
  const OutputPlace place{part_.prefix, part_.suffix, part_.job_instance, 3};
  EXPECT_TRUE(stager_.Probe(place, 1).ok());
  EXPECT_EQ(s3_.TakeRequests(),
            (std::vector<std::string>{"POST p/out-0.csv/part-probe?uploads",
                                      "DELETE p/out-0.csv/part-probe?uploadId"}));
  EXPECT_EQ(s3_.uploads(), 0u);
  s3_.AcceptOnly("another", "", "InvalidAccessKeyId");
  EXPECT_TRUE(absl::IsPermissionDenied(stager_.Probe(place, 1)));
}

}  // namespace
}  // namespace sluice
