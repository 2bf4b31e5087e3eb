#include "checkpoint/checkpoint_url.h"

#include "checkpoint/errors.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(CheckpointUrlTest, ADirectoryIsTakenAndTidied) {
  EXPECT_EQ(ParseCheckpointUrl("rocksdb:/a/b")->directory, "/a/b");
  EXPECT_EQ(ParseCheckpointUrl("rocksdb:///a//b/")->text(), "rocksdb:/a/b");
  EXPECT_EQ(ParseCheckpointUrl("rocksdb:/a/b")->objects_path(), "/a/b/objects");
}

TEST(CheckpointUrlTest, ABucketAndAPrefixAreTaken) {
  const auto url = ParseCheckpointUrl("s3://my.bucket-1/env=prod/wc/");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_TRUE(url->s3());
  EXPECT_EQ(url->bucket, "my.bucket-1");
  EXPECT_EQ(url->prefix, "env=prod/wc");
  EXPECT_FALSE(url->spread_first);
  EXPECT_EQ(url->text(), "s3://my.bucket-1/env=prod/wc");
  const auto spread = ParseCheckpointUrl("s3://bucket/wc?spread=first");
  ASSERT_TRUE(spread.ok()) << spread.status();
  EXPECT_TRUE(spread->spread_first);
  EXPECT_EQ(spread->prefix, "wc");
  EXPECT_EQ(ParseCheckpointUrl(spread->text())->text(), spread->text());
}

TEST(CheckpointUrlTest, WhatIsWrongAndWhatIsRefusedGiveTheirExitCodes) {
  const struct {
    const char* url;
    int exit_code;
  } cases[] = {
      {"hdfs://host/x", kExitRefused},
      {"rocksdb:relative", kExitUsage},     {"rocksdb:", kExitUsage},
      {"rocksdb:/", kExitUsage},            {"rocksdb:/a/../b", kExitUsage},
      {"/a/b", kExitUsage},                 {"file:/a", kExitUsage},
      {"", kExitUsage},                     {"s3:/bucket/x", kExitUsage},
      {"s3://", kExitUsage},                {"s3://bucket", kExitUsage},
      {"s3://bucket/", kExitUsage},         {"s3://Bucket/x", kExitUsage},
      {"s3://b/x", kExitUsage},             {"s3://bucket/a/../b", kExitUsage},
      {"s3://bucket//x", kExitUsage},       {"s3://bucket/a b", kExitUsage},
      {"s3://bucket/x?spread=last", kExitUsage},
      {"s3://bucket/x#y", kExitUsage},      {"s3://key:secret@bucket/x", kExitUsage},
      {"s3://bucket/1/2/3/4/5/6/7", kExitUsage},
      {"s3://bucket/wc/00000001", kExitUsage}, {"s3://bucket/b-sluice/wc", kExitUsage},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(ExitCodeOf(ParseCheckpointUrl(c.url).status()), c.exit_code) << c.url;
  }
}

}  // namespace
}  // namespace sluice
