#include "driver/job/directory_listing.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class DirectoryListingTest : public testing::Test {
 protected:
  DirectoryListingTest() {
    source_.directory = testing::TempDir() + "/listed";
    std::filesystem::remove_all(source_.directory);
    std::filesystem::create_directories(source_.directory);
  }
  void Put(const std::string& name, int64_t modified_s = 1000) {
    const std::string path = source_.directory + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << "x";
    const timespec times[2] = {{modified_s, 0}, {modified_s, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  // Of the files that may be taken now.
  std::vector<std::string> Names(const ListRules& rules = {}) {
    std::vector<std::string> names;
    for (const ListedFile& file : ListDirectory(source_, rules).files) {
      if (file.settling || file.old) continue;
      names.push_back(file.path.substr(source_.directory.size() + 1));
    }
    return names;
  }
  SourceSpec source_;
};

TEST_F(DirectoryListingTest, FilesInOrderOfPathWithoutHiddenOnesAndDirectories) {
  Put("b");
  Put("a");
  Put(".c");
  Put("inner/d");
  EXPECT_THAT(Names(), ElementsAre("a", "b"));
}

TEST_F(DirectoryListingTest, TheTimesAreInclusive) {
  Put("old", 999);
  Put("first", 1000);
  Put("last", 2000);
  Put("young", 2001);
  EXPECT_THAT(Names({1000 * 1'000'000'000ll, 2000 * 1'000'000'000ll}),
              ElementsAre("first", "last"));
  // One that is still settling is there, so that nobody takes it for gone.
  const auto files = ListDirectory(source_, {0, 2000 * 1'000'000'000ll}).files;
  EXPECT_EQ(std::count_if(files.begin(), files.end(),
                          [](const ListedFile& file) { return file.settling; }),
            1);
}

// It was not listed, forgotten as one that has left, and taken again at its next change.
TEST_F(DirectoryListingTest, AFileWhoseTimeWasSetBackIsStillThere) {
  Put("set_back", 999);
  const auto files = ListDirectory(source_, {.from_ns = 1000 * 1'000'000'000ll}).files;
  ASSERT_EQ(files.size(), 1u);
  EXPECT_TRUE(files[0].old);
  // What lay there before the job, as it is, is no affair of it.
  EXPECT_THAT(ListDirectory(source_, {.from_ns = INT64_MAX}).files, IsEmpty());
}

TEST_F(DirectoryListingTest, AnErrorIsGivenBack) {
  source_.directory += "/none";
  const Listing listing = ListDirectory(source_, {});
  EXPECT_THAT(listing.files, IsEmpty());
  EXPECT_THAT(listing.error, HasSubstr("cannot list " + source_.directory + ": No such file"));
}

// It was left out in silence, so that it was forgotten, and read again when it could be looked at.
TEST_F(DirectoryListingTest, AFileThatCannotBeLookedAtIsAnError) {
  Put("a");
  // A name that is too long is an error for root, too.
  std::filesystem::create_symlink(std::string(300, 'n'), source_.directory + "/b");
  EXPECT_THAT(ListDirectory(source_, {}).error, HasSubstr("cannot look at"));
  std::filesystem::remove(source_.directory + "/b");
  std::filesystem::create_symlink("loop", source_.directory + "/loop");
  std::filesystem::create_symlink("nowhere", source_.directory + "/nowhere");
  EXPECT_EQ(ListDirectory(source_, {}).error, "");
  EXPECT_THAT(Names(), ElementsAre("a"));
}

TEST_F(DirectoryListingTest, ObjectFilesOfPublishedBatches) {
  source_.file_format = FileFormat::kObjects;
  Put("out-1000/part-00000");
  Put("out-1000/part-00001");
  Put("out-1000/_SUCCESS");
  Put("out-2000/part-00000");  // not a whole batch
  Put(".sluice-staged/part-00000");
  Put(".sluice-staged/_SUCCESS");
  Put("single");
  EXPECT_THAT(Names(), ElementsAre("out-1000/part-00000", "out-1000/part-00001", "single"));
}

}  // namespace
}  // namespace sluice
