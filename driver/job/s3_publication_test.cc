#include "driver/job/s3_publication.h"

#include "checkpoint/fake_s3.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr uint64_t kJob = 7;

class S3PublicationTest : public testing::Test {
 protected:
  S3PublicationTest() : bucket_(NewBucket()) {
    publish_.batch_ms = 1000;
    publish_.job_instance = kJob;
    publish_.staged.set_target_path("s3://bucket/p/out-1000");
    roll_ = {kJob, 0, 1000, 2000, {}, "s3://bucket/p/out-1000-2000-7.csv"};
    output_.kind = OutputKind::kTextFiles;
    output_.prefix = "s3://bucket/p/out";
    output_.header = "head\n";
  }
  std::shared_ptr<S3Bucket> NewBucket() {
    return std::make_shared<S3Bucket>("bucket", s3_.NewClient(&clock_),
                                      S3BucketOptions{.whole_bytes_max = 100,
                                                      .piece_bytes_min = 40,
                                                      .page_keys = 2});
  }
  // What an executor leaves for one part.
  proto::OpenUpload Upload(const std::string& key, const std::string& bytes,
                           const std::string& nonce) {
    const auto upload = bucket_->OpenUpload(key, bytes, nonce);
    EXPECT_TRUE(upload.ok()) << upload.status();
    proto::OpenUpload open;
    open.set_key(upload->key);
    open.set_id(upload->id);
    open.set_nonce(upload->nonce);
    for (const std::string& etag : upload->etags) open.add_etags(etag);
    return open;
  }
  void StageTwoParts() {
    *publish_.staged.add_uploads() = Upload("p/out-1000/part-00000", std::string(90, 'a'), "7-0");
    *publish_.staged.add_uploads() = Upload("p/out-1000/part-00001", "", "7-1");
  }
  void StageRolled(int64_t batch_ms, const std::vector<std::string>& parts) {
    proto::StagedOutput& staged = roll_.staged.emplace_back();
    const std::string name = ".sluice-0000000000000007-" + std::to_string(batch_ms) + "-0-e1g1";
    staged.set_staged_path("s3://bucket/p/" + name);
    for (size_t i = 0; i < parts.size(); ++i) {
      staged.add_names("part-0000" + std::to_string(i) + ".x");
      staged.set_bytes(staged.bytes() + parts[i].size());
      ASSERT_TRUE(bucket_->PutIfAbsent("p/" + name + "/" + staged.names().rbegin()[0],
                                       parts[i]).ok());
    }
  }
  absl::Status Publish(bool overwrite = false) {
    return PublishUploads(&buckets_, publish_, overwrite);
  }

  FakeS3 s3_;
  ManualClock clock_;
  std::shared_ptr<S3Bucket> bucket_;
  OutputBuckets buckets_{[this](const std::string&) { return bucket_; }};
  PublishOutput publish_;
  RollOutput roll_;
  Output output_;
};

TEST_F(S3PublicationTest, NothingIsVisibleBeforeAndAllOfItAfterwards) {
  StageTwoParts();
  EXPECT_TRUE(s3_.Keys().empty());
  ASSERT_TRUE(Publish().ok());
  EXPECT_EQ(s3_.Keys(), (std::vector<std::string>{"p/out-1000/_SUCCESS", "p/out-1000/part-00000",
                                                  "p/out-1000/part-00001"}));
  EXPECT_EQ(*bucket_->Get("p/out-1000/part-00000"), std::string(90, 'a'));
}

// A driver that is killed between any two requests, and the next one.
TEST_F(S3PublicationTest, ARepeatAfterAnyRequestGivesTheSame) {
  StageTwoParts();
  const std::vector<S3Fault> cuts = {
      {.method = "POST", .key_part = "part-00000", .status = 404, .code = "NoSuchBucket"},
      {.method = "PUT", .key_part = "part-00001", .status = 404, .code = "NoSuchBucket"},
      {.method = "PUT", .key_part = "_SUCCESS", .status = 404, .code = "NoSuchBucket"},
      {.method = "PUT", .key_part = "_SUCCESS", .status = 404, .code = "NoSuchBucket",
       .effect = true}};
  for (const S3Fault& cut : cuts) {
    s3_.Add(cut);
    EXPECT_FALSE(Publish().ok());
  }
  EXPECT_TRUE(Publish().ok());
  EXPECT_TRUE(Publish().ok());
  EXPECT_EQ(s3_.Keys().size(), 3u);
}

TEST_F(S3PublicationTest, ACompletionWhoseAnswerWasLostIsKnownAgain) {
  StageTwoParts();
  s3_.Add({.method = "POST", .key_part = "part-00000", .effect = true});
  ASSERT_TRUE(Publish().ok());
  EXPECT_EQ(s3_.Keys().size(), 3u);
}

TEST_F(S3PublicationTest, AnotherJobsObjectIsNeverReplacedUnasked) {
  StageTwoParts();
  ASSERT_TRUE(bucket_->PutIfAbsent("p/out-1000/part-00000", "theirs").ok());
  EXPECT_EQ(Publish().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*bucket_->Get("p/out-1000/part-00000"), "theirs");
  ASSERT_TRUE(Publish(/*overwrite=*/true).ok());
  EXPECT_EQ(*bucket_->Get("p/out-1000/part-00000"), std::string(90, 'a'));
}

// They stayed among ours, and its `_SUCCESS` said that all of it was whole.
TEST_F(S3PublicationTest, OfABatchThatIsOverwrittenNoFurtherPartsStay) {
  StageTwoParts();
  for (const char* name : {"part-00001", "part-00002", "_SUCCESS"}) {
    ASSERT_TRUE(bucket_->PutIfAbsent(std::string("p/out-1000/") + name, "theirs").ok());
  }
  ASSERT_TRUE(Publish(/*overwrite=*/true).ok());
  EXPECT_EQ(s3_.Keys(), (std::vector<std::string>{"p/out-1000/_SUCCESS", "p/out-1000/part-00000",
                                                  "p/out-1000/part-00001"}));
  EXPECT_EQ(*bucket_->Get("p/out-1000/_SUCCESS"), "");
}

// What was deleted is not waited for, and what is ours already stays.
TEST_F(S3PublicationTest, AnOverwriteThatIsCutShortIsDoneAgain) {
  StageTwoParts();
  for (const char* name : {"part-00001", "part-00002", "_SUCCESS"}) {
    ASSERT_TRUE(bucket_->PutIfAbsent(std::string("p/out-1000/") + name, "theirs").ok());
  }
  s3_.Add({.method = "PUT", .key_part = "_SUCCESS", .status = 404, .code = "NoSuchBucket"});
  EXPECT_FALSE(Publish(/*overwrite=*/true).ok());
  ASSERT_TRUE(Publish(/*overwrite=*/true).ok());
  EXPECT_EQ(s3_.Keys().size(), 3u);
}

TEST_F(S3PublicationTest, AnUploadThatIsGoneIsNotTakenForPublished) {
  StageTwoParts();
  ASSERT_TRUE(bucket_->AbortUploads("p/", [](const S3Upload&) { return true; }).ok());
  EXPECT_EQ(Publish().code(), absl::StatusCode::kDataLoss);
}

TEST_F(S3PublicationTest, UploadsThatWereNeverDecidedAreAbortedAndLaterOnesLeftAlone) {
  ASSERT_TRUE(buckets_.MarkUploads(output_.prefix, "", kJob).ok());
  ASSERT_TRUE(buckets_.MarkUploads(output_.prefix + "er", "", 8).ok());
  Upload("p/out-900/part-00000", "never decided", "a");
  Upload("p/out-1000/part-00000", "of another generation", "b");
  Upload("p/out-2000/part-00000", "not decided yet", "c");
  Upload("p/other-900/part-00000", "of another output", "d");
  ASSERT_TRUE(AbortUndecidedUploads(&buckets_, {"s3://bucket/p/out", "", kJob, 0}, 1000).ok());
  EXPECT_EQ(s3_.uploads(), 2u);
}

// Another executor of the job put it at the same moment, and the store did not say yet by whom.
TEST_F(S3PublicationTest, AMarkOfUploadsThatIsThereIsThisJobs) {
  ASSERT_TRUE(buckets_.MarkUploads(output_.prefix, "", kJob).ok());
  ASSERT_EQ(s3_.Keys().size(), 1u);
  const std::string mark = s3_.Keys()[0];
  s3_.Erase(mark);
  ASSERT_TRUE(bucket_->PutOnce(mark, "", "of nobody").ok());
  OutputBuckets others([this](const std::string&) { return bucket_; });
  EXPECT_TRUE(others.MarkUploads(output_.prefix, "", kJob).ok());
}

// What another job had decided and not yet published was lost, and that job ended at every start.
TEST_F(S3PublicationTest, NothingIsAbortedWhereAnotherJobHasUploads) {
  ASSERT_TRUE(buckets_.MarkUploads(output_.prefix, "", kJob).ok());
  StageTwoParts();
  ASSERT_TRUE(AbortUndecidedUploads(&buckets_, {output_.prefix, "", /*job=*/8, 0}, 5000).ok());
  EXPECT_TRUE(Publish().ok());
}

TEST_F(S3PublicationTest, WhatIsLeftOfATrialOfTheBucketIsAborted) {
  s3_.Add({.method = "DELETE", .status = 403, .code = "AccessDenied"});
  s3_.Add({.method = "DELETE", .status = 403, .code = "AccessDenied"});  // with renewed keys
  ASSERT_TRUE(TryBucket(&buckets_, "s3://bucket/p/out", "csv").ok());
  ASSERT_EQ(s3_.uploads(), 1u);
  ASSERT_TRUE(AbortUndecidedUploads(&buckets_, {"s3://bucket/p/out", "csv", kJob, 0}, 1000).ok());
  EXPECT_EQ(s3_.uploads(), 0u);
}

// It took every upload behind the prefix for its own: what another output had decided was lost.
TEST_F(S3PublicationTest, AnOutputOfTheSamePrefixAndAnotherSuffixIsLeftAlone) {
  publish_.staged.set_target_path("s3://bucket/p/out-1000.obj");
  *publish_.staged.add_uploads() = Upload("p/out-1000.obj/part-00000", "decided", "7-0");
  Upload("p/out-7/notes", "of somebody else", "x");
  ASSERT_TRUE(AbortUndecidedUploads(&buckets_, {"s3://bucket/p/out", "", kJob, 0}, 2000).ok());
  EXPECT_EQ(s3_.uploads(), 2u);
  EXPECT_TRUE(Publish().ok());
  Upload("p/out-900.obj/part-00000", "never decided", "a");
  ASSERT_TRUE(AbortUndecidedUploads(&buckets_, {"s3://bucket/p/out", "obj", kJob, 1}, 2000).ok());
  EXPECT_EQ(s3_.uploads(), 1u);
}

TEST_F(S3PublicationTest, PartsOfSeveralBatchesBecomeOneObject) {
  StageRolled(1000, {std::string(80, 'a'), "b\n"});
  StageRolled(2000, {std::string(80, 'c')});
  ASSERT_TRUE(MakeRolledObject(&buckets_, roll_, output_).ok());
  const std::string whole = "head\n" + std::string(80, 'a') + "b\n" + std::string(80, 'c');
  EXPECT_EQ(*bucket_->Get("p/out-1000-2000-7.csv"), whole);
  ASSERT_TRUE(SweepStagedObjects(&buckets_, {output_.prefix, "", kJob, 0}, 2000).ok());
  EXPECT_EQ(s3_.Keys(), std::vector<std::string>{"p/out-1000-2000-7.csv"});
  ASSERT_TRUE(MakeRolledObject(&buckets_, roll_, output_).ok());  // though the parts are gone
}

// A driver that was replaced, and still at it: what its successor did not find was taken for lost.
TEST_F(S3PublicationTest, PartsThatAnotherDriverSweptWhileTheyWereReadAreNotLost) {
  StageRolled(1000, {"a\n", "b\n"});
  s3_.Add({.method = "GET", .key_part = "part-00001", .status = 404, .code = "NoSuchKey",
           .before = [this] {
             EXPECT_TRUE(MakeRolledObject(&buckets_, roll_, output_).ok());
             EXPECT_TRUE(
                 SweepStagedObjects(&buckets_, {output_.prefix, "", kJob, 0}, 2000).ok());
           }});
  EXPECT_TRUE(MakeRolledObject(&buckets_, roll_, output_).ok());
  EXPECT_EQ(*bucket_->Get("p/out-1000-2000-7.csv"), "head\na\nb\n");
}

TEST_F(S3PublicationTest, ARolledObjectThatWasPutWithoutAnAnswerIsOurs) {
  StageRolled(1000, {"a\n"});
  s3_.Add({.method = "PUT", .key_part = "out-1000-2000", .effect = true});
  EXPECT_TRUE(MakeRolledObject(&buckets_, roll_, output_).ok());
}

TEST_F(S3PublicationTest, StagedPartsOfLaterBatchesAndOtherOutputsStay) {
  StageRolled(1000, {"a\n"});
  StageRolled(3000, {"b\n"});
  ASSERT_TRUE(bucket_->PutIfAbsent("p/.sluice-0000000000000007-1000-1-e1g1/part-0", "x").ok());
  ASSERT_TRUE(bucket_->PutIfAbsent("p/.sluice-0000000000000008-1000-0-e1g1/part-0", "x").ok());
  ASSERT_TRUE(SweepStagedObjects(&buckets_, {output_.prefix, "", kJob, 0}, 2000).ok());
  EXPECT_EQ(s3_.Keys().size(), 3u);
}

TEST_F(S3PublicationTest, AStagedPartThatIsGoneIsNotTakenForAnEmptyOne) {
  StageRolled(1000, {"a\n"});
  s3_.Erase("p/.sluice-0000000000000007-1000-0-e1g1/part-00000.x");
  EXPECT_EQ(MakeRolledObject(&buckets_, roll_, output_).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace sluice
