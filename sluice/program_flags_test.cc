#include "sluice/program_flags.h"

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(ProgramFlagsTest, TakesItsOwnAndLeavesTheRest) {
  std::vector<std::string> words = {"--explain", "--host=web1", "--slots", "3", "in.txt",
                                    "--overwrite", "--conf=partitions=8", "--", "--fresh"};
  const auto flags = TakeProgramFlags(&words);
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_TRUE(flags->explain);
  EXPECT_TRUE(flags->overwrite);
  EXPECT_FALSE(flags->fresh);
  EXPECT_EQ(flags->slots, 3u);
  ASSERT_EQ(flags->conf.size(), 1u);
  EXPECT_EQ(flags->conf[0].second, "8");
  EXPECT_EQ(words, (std::vector<std::string>{"--host=web1", "in.txt", "--", "--fresh"}));
}

TEST(ProgramFlagsTest, RefusesWhatIsMalformed) {
  for (const char* word : {"--slots=0", "--slots=many", "--slots", "--conf=x", "--explain=1",
                           "--http=8080", "--http=web1:70000", "--checkpoint=", "--conf-file=",
                           "--checkpoint=foo:/x", "--checkpoint=rocksdb:relative"}) {
    std::vector<std::string> words = {word};
    EXPECT_TRUE(absl::IsInvalidArgument(TakeProgramFlags(&words).status())) << word;
  }
}

// A job driver has its words at every relaunch: `--fresh` among them would begin anew each time.
TEST(ProgramFlagsTest, WhatASubmissionSaysIsNoWordOfItsJob) {
  for (const char* word :
       {"--fresh", "--discard-checkpoint", "--checkpoint=rocksdb:/d", "--log=rocksdb:/d",
        "--http=a:1", "--slots=2", "--explain", "--help", "--version"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckSubmittedWords({"--host=web1", word}))) << word;
    EXPECT_TRUE(CheckSubmittedWords({"--host=web1", "--", word}).ok()) << word;
  }
  EXPECT_TRUE(CheckSubmittedWords({"--conf", "partitions=2", "--conf-file=f", "--freshly"}).ok());
  EXPECT_TRUE(CheckSubmittedWords({"--overwrite"}).ok());
}

}  // namespace
}  // namespace sluice
