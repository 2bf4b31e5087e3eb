// House rules, kept by a test instead of by review. The first half shows on made-up files that each
// rule can be broken; the second half reads the repository.
#include "tests/tidy.h"

#include <algorithm>
#include <filesystem>
#include <regex>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::tidy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<SourceFile> One(std::string path, std::vector<std::string> lines) {
  return {{std::move(path), std::move(lines)}};
}

TEST(TidyRuleTest, ALongFileIsToBeSplit) {
  EXPECT_THAT(CheckFileSizes(One("common/a.cc", std::vector<std::string>(451))), SizeIs(1));
  EXPECT_THAT(CheckFileSizes(One("common/a.cc", std::vector<std::string>(450))), IsEmpty());
}

TEST(TidyRuleTest, ALineHasAHundredColumns) {
  EXPECT_THAT(CheckLines(One("a.cc", {std::string(101, 'x')})), SizeIs(1));
  EXPECT_THAT(CheckLines(One("a.cc", {std::string(98, 'x') + "é…"})), IsEmpty());
}

TEST(TidyRuleTest, WordsHaveReplacements) {
  EXPECT_THAT(CheckBannedWords(One("a.cc", {"class BlockMan" "ager {"})),
              ElementsAre(HasSubstr("a.cc:1: 'BlockMan" "ager'; instead: name what it does")));
  EXPECT_THAT(CheckBannedWords(One("a.cc", {"static_as" "sert(true);"})), IsEmpty());
}

TEST(TidyRuleTest, OnlyTestsMayNotWaitByTime) {
  EXPECT_THAT(CheckBannedWords(One("a_test.cc", {"sl" "eep(1);"})), SizeIs(1));
  EXPECT_THAT(CheckBannedWords(One("a.cc", {"sl" "eep(1);"})), IsEmpty());
}

TEST(TidyRuleTest, APathOfAMachineIsFound) {
  EXPECT_THAT(CheckMachinePaths(One("a.md", {"see /src/tree/x"}), "/src/tree"), SizeIs(1));
  EXPECT_THAT(CheckMachinePaths(One("a.md", {"see /tmp/x"}), "/src/tree"), IsEmpty());
}

TEST(TidyRuleTest, DriverAndWorkerNeverMeet) {
  EXPECT_THAT(CheckFolderLaws(One("driver/a.cc", {"#include \"worker/b.h\""})), SizeIs(1));
  EXPECT_THAT(CheckFolderLaws(One("worker/a.cc", {"#include \"driver/b.h\""})), SizeIs(1));
  EXPECT_THAT(CheckFolderLaws(One("sluice/a.cc", {"#include \"driver/b.h\""})), IsEmpty());
  EXPECT_THAT(CheckFolderLaws(One("common/a.cc", {"#include \"proto/b.pb.h\""})), SizeIs(1));
}

TEST(TidyRuleTest, ALibraryIsSeenThroughTheUmbrella) {
  EXPECT_THAT(CheckPublicHeaders({{"sluice/sluice.h", {"#include \"driver/api/a.h\""}},
                                  {"driver/api/a.h", {"#include \"absl/status/status.h\""}}}),
              ElementsAre(HasSubstr("sluice/sluice.h > driver/api/a.h")));
  EXPECT_THAT(CheckPublicHeaders({{"sluice/testing.h", {"#include \"glog/logging.h\""}}}),
              SizeIs(1));
}

TEST(TidyRuleTest, ALibraryHasOnePlace) {
  EXPECT_THAT(CheckLibraryPlaces(One("worker/a.cc", {"#include <grpcpp/grpcpp.h>"})), SizeIs(1));
  EXPECT_THAT(CheckLibraryPlaces({{"common/a.cc", {"#include <httplib.h>"}},
                                  {"worker/a.cc", {"#include <httplib.h>"}}}),
              SizeIs(1));
}

TEST(TidyRuleTest, ACoreDoesNotAct) {
  EXPECT_THAT(CheckCoresArePure(One("driver/job_core.cc", {"#include <thread>"})), SizeIs(1));
}

class TidyTest : public testing::Test {
 protected:
  // Runfiles are links into the source tree: one of them leads to its top.
  TidyTest() : root_(std::filesystem::canonical("WORKSPACE").parent_path().string()) {}

  void ExpectNone(const Complaints& complaints) {
    for (const std::string& complaint : complaints) ADD_FAILURE() << complaint;
  }

  const std::string root_;
  const std::vector<SourceFile> files_ = ReadTree(root_);
};

TEST_F(TidyTest, TheTreeIsRead) { EXPECT_GT(files_.size(), 20u); }
TEST_F(TidyTest, FilesAreShort) { ExpectNone(CheckFileSizes(files_)); }
TEST_F(TidyTest, LinesAreShortAndClean) { ExpectNone(CheckLines(files_)); }
TEST_F(TidyTest, NoBannedWords) { ExpectNone(CheckBannedWords(files_)); }
TEST_F(TidyTest, NoPathsOfOneMachine) { ExpectNone(CheckMachinePaths(files_, root_)); }
TEST_F(TidyTest, FoldersIncludeOnlyWhatTheyMay) { ExpectNone(CheckFolderLaws(files_)); }
TEST_F(TidyTest, TheUmbrellaStaysLight) { ExpectNone(CheckPublicHeaders(files_)); }
TEST_F(TidyTest, LibrariesAreIncludedInOnePlace) { ExpectNone(CheckLibraryPlaces(files_)); }
TEST_F(TidyTest, CoresArePure) { ExpectNone(CheckCoresArePure(files_)); }

TEST_F(TidyTest, EveryConfigurationKeyIsExplained) {
  const auto lines = [&](const std::string& path) {
    const auto found = std::find_if(files_.begin(), files_.end(),
                                    [&](const SourceFile& file) { return file.path == path; });
    return found == files_.end() ? std::vector<std::string>() : found->lines;
  };
  std::string page;
  for (const std::string& line : lines("docs/configuration.md")) page += line + "\n";
  const std::regex key("^    \\{\"([a-z_]+)\", ConfKind::.*");
  int keys = 0;
  for (const std::string& line : lines("common/config.cc")) {
    std::smatch match;
    if (!std::regex_match(line, match, key)) continue;
    ++keys;
    EXPECT_THAT(page, HasSubstr("| `" + match[1].str() + "` |"));
  }
  EXPECT_GT(keys, 20);
}

}  // namespace
}  // namespace sluice::tidy
