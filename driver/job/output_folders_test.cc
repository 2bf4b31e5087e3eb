#include "driver/job/output_folders.h"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "checkpoint/fake_s3.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class OutputFoldersTest : public testing::Test {
 protected:
  OutputFoldersTest() {
    std::string pattern = testing::TempDir() + "/foldersXXXXXX";
    root_ = mkdtemp(pattern.data());
  }
  ~OutputFoldersTest() override { fs::remove_all(root_); }
  void Add(OutputKind kind, const std::string& prefix) {
    Output output;
    output.kind = kind;
    output.label = "SaveAsTextFiles";
    output.prefix = prefix;
    graph_.AddOutput(output);
  }
  OutputsMarked Mark(bool buckets = true) { return folders_.Mark({7, buckets}); }
  std::vector<std::string> Entries(const std::string& folder) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(root_ + folder)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  std::string root_;
  LineageGraph graph_;
  FakeS3 s3_;
  ManualClock clock_;
  OutputFolders folders_{&graph_, 3, [this](const std::string&) {
                           return std::make_shared<S3Bucket>("bucket", s3_.NewClient(&clock_));
                         }};
};

TEST_F(OutputFoldersTest, EachFolderHasOneMarkerUntilItIsTakenAway) {
  Add(OutputKind::kPrint, "");
  Add(OutputKind::kTextFiles, root_ + "/a/one");
  Add(OutputKind::kObjectFiles, root_ + "/a/two");
  Add(OutputKind::kTextFiles, root_ + "/b/out");
  const OutputsMarked marked = Mark();
  EXPECT_EQ(marked.refused, "");
  EXPECT_THAT(marked.passing, IsEmpty());
  EXPECT_THAT(marked.outputs, ElementsAre(1, 2, 3));
  EXPECT_THAT(Entries("/a"), ElementsAre(".sluice-probe-0000000000000007-e3"));
  EXPECT_THAT(Entries("/b"), SizeIs(1));
  folders_.Unmark();
  EXPECT_THAT(Entries("/a"), IsEmpty());
  EXPECT_THAT(Entries("/b"), IsEmpty());
}

TEST_F(OutputFoldersTest, OneThatCannotBeWrittenIsNamedWithItsHostAndWhatToDo) {
  std::ofstream(root_ + "/file") << "a file";
  Add(OutputKind::kTextFiles, root_ + "/a/one");
  Add(OutputKind::kTextFiles, root_ + "/file/out");
  const OutputsMarked marked = Mark();
  EXPECT_THAT(marked.outputs, ElementsAre(0));
  EXPECT_THAT(marked.refused, HasSubstr("choose a prefix"));
  EXPECT_THAT(marked.refused, HasSubstr("SaveAsTextFiles to " + root_ + "/file/out"));
  EXPECT_THAT(marked.refused, HasSubstr("Not a directory"));
  char host[256] = {};
  ASSERT_EQ(gethostname(host, sizeof host - 1), 0);
  EXPECT_THAT(marked.refused, HasSubstr(host));
  EXPECT_EQ(marked.refused.find('\n'), std::string::npos);
  folders_.Unmark();
  EXPECT_THAT(Entries("/a"), IsEmpty());
}

TEST_F(OutputFoldersTest, ABucketIsTriedWithoutAnObject) {
  Add(OutputKind::kTextFiles, "s3://bucket/p/out");
  EXPECT_THAT(Mark().outputs, ElementsAre(0));
  EXPECT_THAT(s3_.TakeRequests(), ElementsAre("POST p/out-0/part-probe?uploads",
                                              "DELETE p/out-0/part-probe?uploadId"));
  EXPECT_THAT(s3_.Keys(), IsEmpty());
  EXPECT_EQ(s3_.uploads(), 0u);
  EXPECT_THAT(Mark(/*buckets=*/false).outputs, ElementsAre(0));
  EXPECT_THAT(s3_.TakeRequests(), IsEmpty());
}

TEST_F(OutputFoldersTest, NoBucketAndRefusedKeysAreRefused) {
  Add(OutputKind::kTextFiles, "s3://bucket/p/out");
  s3_.Add({.status = 404, .code = "NoSuchBucket"});
  EXPECT_THAT(Mark().refused, HasSubstr("NoSuchBucket"));
  s3_.AcceptOnly("another", "", "AccessDenied");
  const OutputsMarked marked = Mark();
  EXPECT_THAT(marked.refused, HasSubstr("AccessDenied"));
  EXPECT_THAT(marked.refused, HasSubstr("s3://bucket/p/out"));
  EXPECT_THAT(marked.outputs, IsEmpty());
}

TEST_F(OutputFoldersTest, AStoreThatIsAwayIsSaidAndRefusesNothing) {
  Add(OutputKind::kTextFiles, "s3://bucket/p/out");
  s3_.Add(1000, {.status = 503, .code = "SlowDown"});
  OutputsMarked marked = Mark();
  EXPECT_EQ(marked.refused, "");
  EXPECT_THAT(marked.passing, ElementsAre(HasSubstr("SlowDown")));
  EXPECT_THAT(marked.outputs, IsEmpty());
  s3_.ClearFaults();
  s3_.Add(1000, {});  // no connection
  marked = Mark();
  EXPECT_EQ(marked.refused, "");
  EXPECT_THAT(marked.passing, SizeIs(1));
}

}  // namespace
}  // namespace sluice
