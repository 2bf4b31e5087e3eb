#include "common/job_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/names.h"

namespace sluice {
namespace {

const std::string kDigest(64, 'a');

TEST(Names, OnlyWhatStaysInItsFolder) {
  for (const char* good : {"wc", "a", "A-b_c.9", "-x"}) EXPECT_TRUE(IsName(good)) << good;
  for (const char* bad : {"", ".", "..", ".x", "a/b", "a b", "a\n", "\xc3\xa4"}) {
    EXPECT_FALSE(IsName(bad)) << bad;
  }
  EXPECT_TRUE(IsName(std::string(100, 'a')));
  EXPECT_FALSE(IsName(std::string(101, 'a')));
}

TEST(Names, ADigestIsSixtyFourLowerCaseHexDigits) {
  EXPECT_TRUE(IsDigest(kDigest));
  for (const std::string& bad : {std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'A'),
                                 "../" + std::string(61, 'a')}) {
    EXPECT_FALSE(IsDigest(bad)) << bad;
  }
}

TEST(JobFiles, AreCalledWhatNobodyElseCallsHisInTheirFolder) {
  for (const char* good : {"words.txt", "state", "state-", "state-of-a-user", "state-1", "state-1-",
                           "state-1-2x", "state-1-2-3", "xstate-1-2"}) {
    EXPECT_TRUE(CheckJobFileName(good).ok()) << good;
  }
  for (const char* bad : {"", ".incoming", "..", "a/b", "/etc/passwd", "state-12-1", "state-0-0"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckJobFileName(bad))) << bad;
  }
}

TEST(JobFiles, HaveADigestEachAndANameOfTheirOwn) {
  EXPECT_TRUE(CheckJobFiles({}).ok());
  EXPECT_TRUE(CheckJobFiles({{"a", kDigest}, {"b", kDigest}}).ok()) << "of the same bytes";
  EXPECT_TRUE(absl::IsInvalidArgument(CheckJobFiles({{"a", kDigest}, {"a", kDigest}})));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckJobFiles({{"a", "../../etc/passwd"}})));
  std::vector<JobFile> many;
  for (size_t i = 0; i < kJobFilesMax; ++i) many.push_back({"f" + std::to_string(i), kDigest});
  EXPECT_TRUE(CheckJobFiles(many).ok());
  many.push_back({"more", kDigest});
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckJobFiles(many)));
}

class JobFilesOfAFolder : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  absl::StatusOr<std::vector<JobFile>> Read(const std::string& text) {
    std::ofstream(folder_ + "/" + kJobFilesFile, std::ios::binary) << text;
    return ReadJobFiles(folder_);
  }
  const std::string folder_ = testing::TempDir() + "/job_files_" + std::to_string(getpid());
};

TEST_F(JobFilesOfAFolder, AreReadAsTheyWereWritten) {
  std::vector<JobFile> files;
  ASSERT_TRUE(WriteJobFiles(folder_, files).ok());
  EXPECT_EQ(*ReadJobFiles(folder_), files);
  for (size_t i = 0; i < kJobFilesMax; ++i) {
    const std::string number = std::to_string(1'000'000 + i);
    files.push_back({std::string(93, 'x') + number, std::string(57, 'b') + number});
  }
  ASSERT_TRUE(WriteJobFiles(folder_, files).ok());
  EXPECT_EQ(*ReadJobFiles(folder_), files);
  files = {{"words.txt", kDigest}};
  ASSERT_TRUE(WriteJobFiles(folder_, files).ok());
  EXPECT_EQ(*ReadJobFiles(folder_), files);
}

TEST_F(JobFilesOfAFolder, AreNotGuessedWhereTheyAreNotSaid) {
  EXPECT_FALSE(ReadJobFiles(folder_).ok()) << "nothing was written";
  EXPECT_FALSE(WriteJobFiles(folder_ + "/none", {}).ok());
  const std::string line = kDigest + "  words.txt\n";
  ASSERT_TRUE(Read(line).ok());
  for (const std::string& bad :
       {line + line, kDigest + "  words.txt", kDigest + " words.txt\n", kDigest + "  \n",
        kDigest + "\n", std::string("\n"), "x" + line, kDigest + "  ../words\n",
        line + std::string(1 << 20, 'x')}) {
    const auto read = Read(bad);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInternal) << bad.substr(0, 200);
  }
}

}  // namespace
}  // namespace sluice
