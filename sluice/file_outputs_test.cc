// Saved files through the whole engine, in one process.
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;
using testing::Pair;

namespace fs = std::filesystem;
using Count = std::pair<std::string, int64_t>;

struct Csv {
  std::string Header() const { return "word,count\n"; }
  std::string Footer() const { return "#end\n"; }
  // Of the owned type; rows of the chain hold views.
  void Append(const Count& row, std::string& out) const {
    out += row.first + "," + std::to_string(row.second) + "\n";
  }
};
struct Bare {
  void Append(std::string_view word, std::string& out) const { out.append(word).append(";"); }
};

class FileOutputsTest : public testing::Test {
 protected:
  FileOutputsTest() : folder_(testing::TempDir() + "file-outputs") { fs::remove_all(folder_); }
  ~FileOutputsTest() override { fs::remove_all(folder_); }

  // Visible files by their path below the folder, but for marks of whole batches.
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    if (!fs::exists(folder_)) return files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      const std::string path = entry.path().string().substr(folder_.size() + 1);
      if (!entry.is_regular_file() || path.starts_with(".") || path.ends_with("_SUCCESS")) continue;
      std::ostringstream text;
      text << std::ifstream(entry.path()).rdbuf();
      files[path] = text.str();
    }
    return files;
  }
  static std::string At(int batch) { return std::to_string(TestContext::kZeroMs + 1000 * batch); }

  const std::string folder_;
};

TEST_F(FileOutputsTest, AFormatHasItsHeaderAndFooterInEveryPart) {
  TestContext test;
  TestInput<std::string> words(test);
  words.stream()
      .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
      .SaveAsFiles(folder_ + "/words", Csv{}, "csv");
  words.Push({"a", "b"});
  ASSERT_TRUE(test.RunBatch().ok());
  std::string both;
  for (const auto& [path, text] : Files()) {
    EXPECT_THAT(path, HasSubstr("words-" + At(1) + ".csv/part-0000"));
    EXPECT_TRUE(text.starts_with("word,count\n") && text.ends_with("#end\n")) << text;
    both += text;
  }
  EXPECT_THAT(both, HasSubstr("a,1\n"));
  EXPECT_THAT(both, HasSubstr("b,1\n"));
}

TEST_F(FileOutputsTest, AFormatNeedsNoHeaderAndMayTakeViews) {
  TestContext test({.slots = 1});
  TestInput<std::string> words(test);
  words.stream().SaveAsFiles(folder_ + "/words", Bare{});
  words.Push({"a", "b"});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(Files(), ElementsAre(Pair("words-" + At(1) + "/part-00000", "a;b;")));
}

TEST_F(FileOutputsTest, BatchesThatRollAreOneFile) {
  TestContext test({.slots = 1});
  TestInput<Count> counts(test);
  counts.stream().SaveAsFiles(folder_ + "/counts", Csv{}, "csv", {.roll_bytes = 10});
  counts.Push({{"a", 1}, {"b", 2}});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_TRUE(Files().empty());  // eight bytes
  counts.PushNoDataset();
  ASSERT_TRUE(test.RunBatch().ok());
  counts.Push({{"c", 3}});
  ASSERT_TRUE(test.RunBatch().ok());
  const auto files = Files();
  ASSERT_EQ(files.size(), 1u);
  EXPECT_TRUE(files.begin()->first.starts_with("counts-" + At(1) + "-" + At(3) + "-"));
  EXPECT_TRUE(files.begin()->first.ends_with(".csv"));
  EXPECT_EQ(files.begin()->second, "word,count\na,1\nb,2\nc,3\n#end\n");
}

TEST_F(FileOutputsTest, AFileIsDueByAgeToo) {
  TestContext test({.slots = 1});
  TestInput<std::string> words(test);
  words.stream().SaveAsTextFiles(folder_ + "/words", "",
                                 {.roll_bytes = 1 << 20, .roll_after = std::chrono::seconds(2)});
  words.Push({"a"});
  words.Push({});
  words.Push({"b"});
  for (int batch = 0; batch < 2; ++batch) ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_TRUE(Files().empty());
  ASSERT_TRUE(test.RunBatch().ok());
  ASSERT_EQ(Files().size(), 1u);
  EXPECT_EQ(Files().begin()->second, "a\nb\n");
  // Batches without rows make no file.
  for (int batch = 0; batch < 6; ++batch) ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(FileOutputsTest, ObjectFilesThatRolledAreReadBack) {
  {
    TestContext test;
    TestInput<Count> counts(test);
    counts.stream().SaveAsObjectFiles(folder_ + "/counts", "obj", {.roll_bytes = 1});
    counts.Push({{"a", 1}, {"b", 2}, {"c", 3}});
    ASSERT_TRUE(test.RunBatch().ok());
  }
  ASSERT_EQ(Files().size(), 1u);
  TestContext test({.slots = 1});
  TestOutput read(test, test.ssc().ObjectFileStream<Count>(folder_));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(read.last(), Optional(ElementsAre(Pair("a", 1), Pair("b", 2), Pair("c", 3))));
}

TEST_F(FileOutputsTest, WhatWaitedForAFileIsInTheNextLifesFile) {
  const std::string store = folder_ + "-store";
  fs::remove_all(store);
  for (int life = 0; life < 2; ++life) {
    TestContext test({.slots = 1, .checkpoint = store});
    TestInput<std::string> words(test);
    words.stream().SaveAsTextFiles(folder_ + "/words", "", {.roll_bytes = 4});
    words.Push({life == 0 ? "a" : "b"});
    ASSERT_TRUE(test.RunBatch().ok());
    EXPECT_EQ(Files().size(), static_cast<size_t>(life));
  }
  EXPECT_EQ(Files().begin()->second, "a\nb\n");
  fs::remove_all(store);
}

TEST_F(FileOutputsTest, PlacesAndOptionsThatCannotBeAreRefused) {
  struct Case {
    std::string prefix;
    SaveOptions options;
    int exit_code;
  };
  const std::vector<Case> cases = {
      {"relative/words", {}, 2},
      {"hdfs://host/words", {}, 2},
      {"s3://bucket", {}, 2},
      {"s3://bucket/", {}, 2},
      {folder_ + "/words", {.roll_bytes = 1, .roll_after = std::chrono::seconds(0)}, 3}};
  for (const Case& bad : cases) {
    TestContext test;
    TestInput<std::string> words(test);
    words.stream().SaveAsTextFiles(bad.prefix, "", bad.options);
    EXPECT_EQ(test.RunBatch().exit_code, bad.exit_code) << bad.prefix;
  }
}

// It ended its job at the first batch (1).
TEST_F(FileOutputsTest, APlaceThatCannotBeWrittenIsRefusedBeforeAnythingRuns) {
  fs::create_directories(folder_);
  std::ofstream(folder_ + "/file") << "no folder";
  for (const SaveOptions& options : {SaveOptions{}, SaveOptions{.roll_bytes = 100}}) {
    TestContext test;
    TestInput<std::string> words(test);
    int ran = 0;
    words.stream().SaveAsTextFiles(folder_ + "/file/words", "", options);
    words.stream().ForeachBatch([&](const auto&...) { ++ran; });
    words.Push({"a"});
    const Outcome outcome = test.RunBatch();
    EXPECT_EQ(outcome.exit_code, 3);
    EXPECT_THAT(outcome.message, HasSubstr("SaveAsTextFiles to " + folder_ + "/file/words"));
    EXPECT_THAT(outcome.message, HasSubstr("Not a directory"));
    EXPECT_EQ(ran, 0);
  }
}

TEST_F(FileOutputsTest, NothingOfTheLookAtTheFolderIsLeft) {
  TestContext test;
  TestInput<std::string> words(test);
  words.stream().SaveAsTextFiles(folder_ + "/words");
  words.Push({"a"});
  ASSERT_TRUE(test.RunBatch().ok());
  for (const auto& entry : fs::directory_iterator(folder_)) {
    EXPECT_EQ(entry.path().filename(), "words-" + At(1));
  }
}

}  // namespace
}  // namespace sluice
