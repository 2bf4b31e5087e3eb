#include "driver/job/rolled_files.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/object_file.h"
#include "driver/job/publication.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::string Content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class RolledFilesTest : public testing::Test {
 protected:
  RolledFilesTest() {
    std::string pattern = testing::TempDir() + "/rolledXXXXXX";
    root_ = mkdtemp(pattern.data());
    output_.kind = OutputKind::kTextFiles;
    output_.prefix = root_ + "/out";
    output_.header = "word,n\n";
    output_.footer = "end\n";
    roll_ = {7, 0, 1000, 2000, {}, root_ + "/out-1000-2000-7.csv"};
  }
  ~RolledFilesTest() override { fs::remove_all(root_); }

  // Parts of a batch; where there are no bytes there is no file.
  void Stage(int64_t batch_ms, const std::vector<std::string>& parts) {
    const std::string directory =
        root_ + "/.sluice-7-" + std::to_string(batch_ms) + "-0-e1g1";
    proto::StagedOutput& staged = roll_.staged.emplace_back();
    staged.set_staged_path(directory);
    staged.set_parts(static_cast<uint32_t>(parts.size()));
    fs::create_directory(directory);
    for (size_t i = 0; i < parts.size(); ++i) {
      staged.set_bytes(staged.bytes() + parts[i].size());
      if (parts[i].empty()) continue;
      std::ofstream(directory + "/part-0000" + std::to_string(i)) << parts[i];
    }
  }
  absl::Status Make(uint64_t epoch = 1) { return MakeRolledFile(roll_, output_, epoch); }
  size_t Entries() const {
    const fs::directory_iterator entries(root_);
    return static_cast<size_t>(std::distance(begin(entries), end(entries)));
  }

  std::string root_;
  Output output_;
  RollOutput roll_;
};

TEST_F(RolledFilesTest, HasHeaderAndFooterOnceAroundThePartsInOrder) {
  Stage(1000, {"a,1\n", "", "b,2\n"});
  Stage(2000, {"", "c,3\n"});
  ASSERT_TRUE(Make().ok());
  EXPECT_EQ(Content(roll_.target), "word,n\na,1\nb,2\nc,3\nend\n");
}

TEST_F(RolledFilesTest, ARepeatAtAnyStepMakesTheSameOneFile) {
  Stage(1000, {"a,1\n"});
  std::ofstream(root_ + "/.sluice-rolled-0000000000000007-2000-0-e1") << "half of it, from a crash";
  ASSERT_TRUE(Make().ok());
  const std::string once = Content(roll_.target);
  ASSERT_TRUE(Make().ok());
  SweepStaged({output_.prefix, "", 7, 0}, 2000);
  ASSERT_TRUE(Make(2).ok());  // nothing is staged any more
  EXPECT_EQ(Content(roll_.target), once);
  EXPECT_EQ(once, "word,n\na,1\nend\n");
  EXPECT_EQ(Entries(), 1u);
}

TEST_F(RolledFilesTest, AFileThatAFormerDriverBeganIsNotMixedWithThisOnes) {
  Stage(1000, {"a,1\n"});
  const std::string former = root_ + "/.sluice-rolled-0000000000000007-2000-0-e1";
  std::ofstream(former) << "x";
  ASSERT_TRUE(Make(2).ok());
  EXPECT_EQ(Content(roll_.target), "word,n\na,1\nend\n");
  SweepStaged({output_.prefix, "", 7, 0}, 2000);
  EXPECT_EQ(Entries(), 1u);
}

TEST_F(RolledFilesTest, PartsThatAreMissingOrCutAreNotTakenForEmptyOnes) {
  Stage(1000, {"a,1\n", "b,2\n"});
  fs::remove(roll_.staged[0].staged_path() + "/part-00001");
  EXPECT_EQ(Make().code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(fs::exists(roll_.target));
  std::ofstream(roll_.staged[0].staged_path() + "/part-00001") << "b,";
  EXPECT_EQ(Make().code(), absl::StatusCode::kDataLoss);
}

// A driver that was replaced, and still at it: what its successor did not find was taken for lost.
TEST_F(RolledFilesTest, PartsThatAnotherDriverSweptWhileTheyWereReadAreNotLost) {
  Stage(1000, {"a,1\n", "b,2\n"});
  const ReadPart read = [&](const std::string& directory, const std::string& name) {
    if (name == "part-00001") {
      EXPECT_TRUE(Make(1).ok());
      SweepStaged({output_.prefix, "", 7, 0}, 2000);
    }
    return ReadStagedFile(directory, name);
  };
  EXPECT_TRUE(MakeRolledFile(roll_, output_, 2, read).ok());
  EXPECT_EQ(Content(roll_.target), "word,n\na,1\nb,2\nend\n");
}

TEST_F(RolledFilesTest, BatchesWithoutRecordsGiveNoFile) {
  roll_.staged.emplace_back();
  ASSERT_TRUE(Make().ok());
  EXPECT_EQ(Entries(), 0u);
}

TEST_F(RolledFilesTest, ObjectFilesBecomeOneObjectFile) {
  output_.kind = OutputKind::kObjectFiles;
  output_.record_type = "text";
  RecordBatch first, second;
  first.Append("one");
  second.Append("two");
  second.Append("three");
  Stage(1000, {EncodeObjectFile("text", first.view())});
  Stage(2000, {"", EncodeObjectFile("text", second.view())});
  ASSERT_TRUE(Make().ok());
  const std::string file = Content(roll_.target);
  std::vector<uint32_t> scratch;
  const auto records = DecodeObjectFile(file, "text", scratch);
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->count, 3u);
  EXPECT_EQ(records->record(2), "three");
}

// All records were put into one batch, and no reader takes one above 2 GiB.
TEST_F(RolledFilesTest, AnObjectFileOfManyRecordsHasThemInSeveralBatches) {
  output_.kind = OutputKind::kObjectFiles;
  output_.record_type = "text";
  RecordBatch records;
  records.Append(std::string(size_t{6} << 20, 'r'));
  const std::string part = EncodeObjectFile("text", records.view());
  Stage(1000, {part, part});
  Stage(2000, {part});
  ASSERT_TRUE(Make().ok());
  const std::string file = Content(roll_.target);
  std::vector<uint32_t> counts;
  for (size_t at = 0; at < file.size();) {
    const auto size = ObjectSectionBytes(std::string_view(file).substr(at));
    ASSERT_TRUE(size.ok()) << size.status();
    const std::string_view bytes = std::string_view(file).substr(at, *size);
    std::vector<uint32_t> scratch;
    const auto section = DecodeObjectFile(bytes, "text", scratch);
    ASSERT_TRUE(section.ok()) << section.status();
    counts.push_back(section->count);
    at += *size;
  }
  EXPECT_EQ(counts, (std::vector<uint32_t>{2, 1}));
}

TEST_F(RolledFilesTest, ADirectoryThatIsAwayMayComeBack) {
  Stage(1000, {"a,1\n"});
  fs::rename(root_, root_ + "-away");
  EXPECT_EQ(Make().code(), absl::StatusCode::kUnavailable);
  fs::rename(root_ + "-away", root_);
  EXPECT_TRUE(Make().ok());
}

}  // namespace
}  // namespace sluice
