#include "checkpoint/checkpoint_url.h"

#include "checkpoint/errors.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(CheckpointUrlTest, ADirectoryIsTakenAndTidied) {
  EXPECT_EQ(ParseCheckpointUrl("rocksdb:/a/b")->directory, "/a/b");
  EXPECT_EQ(ParseCheckpointUrl("rocksdb:///a//b/")->text(), "rocksdb:/a/b");
  EXPECT_EQ(ParseCheckpointUrl("rocksdb:/a/b")->log_path(), "/a/b/log");
  EXPECT_EQ(ParseCheckpointUrl("rocksdb:/a/b")->objects_path(), "/a/b/objects");
}

TEST(CheckpointUrlTest, WhatIsWrongAndWhatIsRefusedGiveTheirExitCodes) {
  const struct {
    const char* url;
    int exit_code;
  } cases[] = {
      {"s3://bucket/prefix", kExitRefused}, {"hdfs://host/x", kExitRefused},
      {"rocksdb:relative", kExitUsage},     {"rocksdb:", kExitUsage},
      {"rocksdb:/", kExitUsage},            {"rocksdb:/a/../b", kExitUsage},
      {"/a/b", kExitUsage},                 {"file:/a", kExitUsage},
      {"", kExitUsage},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(ExitCodeOf(ParseCheckpointUrl(c.url).status()), c.exit_code) << c.url;
  }
}

}  // namespace
}  // namespace sluice
