#include "driver/job/file_watch.h"

#include "driver/job/job_driver_core_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint32_t kNode = 0;

class FileWatchTest : public testing::Test {
 protected:
  FileWatchTest() {
    Node source;
    source.kind = NodeKind::kSource;
    source.label = "TextFileStream files-0";
    source.source.kind = SourceKind::kFiles;
    graph_.AddNode(source);
    Output output;
    graph_.AddOutput(output);
    plan_ = std::make_unique<StagePlan>(graph_, 1);
    watch_ = std::make_unique<FileWatch>(*plan_, &state_);
  }
  // A batch that takes these files, as they are.
  void Take(const std::vector<ListedFile>& files) {
    proto::Entry entry;
    auto& composition = *entry.mutable_planned()->mutable_composition();
    composition.set_batch_ms(next_ms_ += 1000);
    auto& task = *composition.add_sources()->add_tasks();
    for (const ListedFile& file : files) {
      auto& range = *task.add_pieces()->mutable_file();
      range.set_path(file.path);
      range.set_file_size(file.size);
      range.set_modified_ns(file.modified_ns);
    }
    ASSERT_TRUE(state_.Apply(entry).ok());
  }
  std::vector<std::string> List(const std::vector<ListedFile>& files,
                                const std::string& error = "") {
    SourcesListed listed;
    listed.files[kNode] = files;
    if (!error.empty()) listed.errors[kNode] = error;
    std::vector<DriverCommand> out;
    watch_->OnListed(listed, out);
    std::vector<std::string> said;
    for (const DriverCommand& command : out) said.push_back(std::get<Say>(command).text);
    return said;
  }
  // As the core does it: through the log.
  std::vector<std::string> Seal() {
    proto::Entry entry;
    std::vector<std::string> forgotten;
    for (const auto& file : watch_->OnSealed()) {
      forgotten.push_back(file.path());
      *entry.mutable_collected()->add_forgotten() = file;
    }
    if (forgotten.empty()) entry.mutable_collected()->set_batch_ms(1);
    EXPECT_TRUE(state_.Apply(entry).ok());
    return forgotten;
  }

  LineageGraph graph_;
  JobState state_;
  std::unique_ptr<StagePlan> plan_;
  std::unique_ptr<FileWatch> watch_;
  int64_t next_ms_ = 0;
};

TEST_F(FileWatchTest, AChangedFileCountsAndWarnsOnce) {
  Take({{"/in/a", 1, 5}, {"/in/b", 1, 5}});
  EXPECT_THAT(List({{"/in/a", 1, 5}, {"/in/b", 1, 5}, {"/in/new", 9, 9}}), IsEmpty());
  EXPECT_THAT(List({{"/in/a", 2, 6}, {"/in/b", 1, 5}}),
              ElementsAre("a file has changed after it was taken and is not read again: /in/a"));
  EXPECT_THAT(List({{"/in/a", 3, 7}, {"/in/b", 1, 5}}), IsEmpty());
  EXPECT_EQ(watch_->changed_files(), 1u);
  EXPECT_EQ(List({{"/in/a", 3, 7}, {"/in/b", 1, 6}}).size(), 1u);
  EXPECT_EQ(watch_->changed_files(), 2u);
}

TEST_F(FileWatchTest, AnErrorIsVisibleWhileItLastsAndSaidOnce) {
  EXPECT_THAT(List({}, "cannot list /in: gone"), ElementsAre("cannot list /in: gone"));
  EXPECT_THAT(List({}, "cannot list /in: gone"), IsEmpty());
  EXPECT_EQ(watch_->problem(), "cannot list /in: gone");
  EXPECT_THAT(List({}), ElementsAre("TextFileStream files-0: the directory is listed again"));
  EXPECT_EQ(watch_->problem(), "");
}

TEST_F(FileWatchTest, AFileThatHasLeftIsForgottenWhenNoKeptCheckpointKnewIt) {
  Take({{"/in/a", 1, 5}, {"/in/b", 1, 5}});
  List({{"/in/b", 1, 5}});
  EXPECT_THAT(Seal(), IsEmpty());
  EXPECT_THAT(Seal(), IsEmpty());
  EXPECT_TRUE(state_.FileTaken(0, "/in/a"));
  EXPECT_THAT(Seal(), ElementsAre("/in/a"));
  EXPECT_FALSE(state_.FileTaken(0, "/in/a"));
  EXPECT_TRUE(state_.FileTaken(0, "/in/b"));
  EXPECT_THAT(Seal(), IsEmpty());
}

TEST_F(FileWatchTest, AFileThatComesBackIsKept) {
  Take({{"/in/a", 1, 5}});
  List({});
  Seal();
  Seal();
  List({{"/in/a", 1, 5}});
  EXPECT_THAT(Seal(), IsEmpty());
  EXPECT_TRUE(state_.FileTaken(0, "/in/a"));
}

TEST_F(FileWatchTest, ADirectoryThatCannotBeListedLosesNoFile) {
  Take({{"/in/a", 1, 5}});
  List({}, "cannot list /in: not now");
  for (int seal = 0; seal < 5; ++seal) EXPECT_THAT(Seal(), IsEmpty());
}

// Seals went on being counted while nobody could look, and all was read again afterwards.
TEST_F(FileWatchTest, WhileADirectoryCannotBeListedAFileThatWasNotThereIsNotForgotten) {
  Take({{"/in/a", 1, 5}});
  List({});
  List({}, "cannot list /in: not now");
  for (int seal = 0; seal < 5; ++seal) EXPECT_THAT(Seal(), IsEmpty());
}

// It counted as gone, was forgotten, and was read again, whole, when the writer paused.
TEST_F(FileWatchTest, ATakenFileThatKeepsChangingIsNotForgotten) {
  Take({{"/in/a", 1, 10}});
  EXPECT_EQ(List({{"/in/a", 2, 20, true}}).size(), 1u);
  for (int seal = 0; seal < 5; ++seal) {
    List({{"/in/a", 2, 20, true}});
    EXPECT_THAT(Seal(), IsEmpty());
  }
}

}  // namespace
}  // namespace sluice
