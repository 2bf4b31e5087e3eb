#include "driver/daemon/submission.h"

#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

proto::JobSpec Spec() {
  proto::JobSpec spec;
  spec.set_name("wc");
  spec.set_binary_digest(kAbc);
  spec.set_binary_size(3);
  return spec;
}

int CodeOf(const proto::JobSpec& spec) { return static_cast<int>(CheckSpec(spec).code()); }

TEST(Submission, RefusesWhatNoBinaryCouldMakeRight) {
  constexpr int kUsage = static_cast<int>(absl::StatusCode::kInvalidArgument);
  constexpr int kRefused = static_cast<int>(absl::StatusCode::kFailedPrecondition);
  proto::JobSpec spec = Spec();
  EXPECT_EQ(CodeOf(spec), 0);
  spec.set_name("../x");
  EXPECT_EQ(CodeOf(spec), kUsage);
  spec = Spec();
  spec.set_binary_digest("../../etc/passwd");
  EXPECT_EQ(CodeOf(spec), kUsage);
  spec = Spec();
  spec.set_checkpoint("hdfs://host/x");
  EXPECT_EQ(CodeOf(spec), static_cast<int>(absl::StatusCode::kUnimplemented));  // exit 3 too
  spec.set_checkpoint("s3://bucket");
  EXPECT_EQ(CodeOf(spec), kUsage);
  spec.set_checkpoint("s3://bucket/x");
  EXPECT_EQ(CodeOf(spec), 0);
  spec.set_checkpoint("ftp://x");
  EXPECT_EQ(CodeOf(spec), kUsage);
  spec = Spec();
  spec.clear_checkpoint();
  (*spec.mutable_conf())["received_log"] = "on";
  EXPECT_EQ(CodeOf(spec), kRefused);
  spec = Spec();
  auto* file = spec.add_files();
  file->set_name("a/../../b");
  file->set_digest(kAbc);
  EXPECT_EQ(CodeOf(spec), kUsage);
  file->set_name("b");
  EXPECT_EQ(CodeOf(spec), 0);
  *spec.add_files() = *file;
  EXPECT_EQ(CodeOf(spec), kUsage) << "two of one name";
}

TEST(Submission, TakesTheMissingPartsWhereverTheyAreCut) {
  auto store = *BinaryStore::Open(testing::TempDir() + "/intake");
  proto::JobSpec spec = Spec();
  auto* file = spec.add_files();
  file->set_name("words");
  file->set_digest(kEmpty);
  Intake intake(store.get(), spec);
  EXPECT_EQ(intake.missing().parts_size(), 2);
  EXPECT_TRUE(intake.Take("a").ok());
  EXPECT_TRUE(intake.Take("bc").ok());
  EXPECT_TRUE(intake.Finish().ok());
  EXPECT_TRUE(store->Has(kEmpty, 0));
  EXPECT_EQ(Intake(store.get(), spec).missing().parts_size(), 0) << "known by digest";
}

TEST(Submission, AnUploadThatEndsEarlyIsNoUpload) {
  auto store = *BinaryStore::Open(testing::TempDir() + "/early");
  Intake intake(store.get(), Spec());
  EXPECT_TRUE(intake.Take("ab").ok());
  EXPECT_EQ(intake.Finish().code(), absl::StatusCode::kDataLoss);
  Intake longer(store.get(), Spec());
  EXPECT_FALSE(longer.Take("abcd").ok());
}

}  // namespace
}  // namespace sluice::daemon
