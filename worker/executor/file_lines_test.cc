#include "worker/executor/file_lines.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

namespace sluice {
namespace {

proto::FileRange Found(const std::string& path) {
  struct stat now;
  EXPECT_EQ(stat(path.c_str(), &now), 0);
  proto::FileRange range;
  range.set_path(path);
  range.set_end(now.st_size);
  range.set_file_size(now.st_size);
  range.set_modified_ns(int64_t{now.st_mtim.tv_sec} * 1'000'000'000 + now.st_mtim.tv_nsec);
  return range;
}

proto::FileRange Take(const std::string& name, const std::string& content) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  return Found(path);
}

std::vector<std::string> Lines(const proto::FileRange& range) {
  std::deque<RecordBatch> batches;
  const absl::Status status = ReadFileLines(range, batches);
  EXPECT_TRUE(status.ok()) << status;
  std::vector<std::string> lines;
  for (const RecordBatch& batch : batches) {
    const BatchView view = batch.view();
    for (uint32_t i = 0; i < view.count; ++i) lines.emplace_back(view.record(i));
  }
  return lines;
}

TEST(FileLines, EveryCutGivesEveryLineOnce) {
  const std::string content = "one\ntwo\r\n\nfour\nlast";
  const std::vector<std::string> all = {"one", "two", "", "four", "last"};
  proto::FileRange range = Take("cut", content);
  EXPECT_EQ(Lines(range), all);
  for (size_t cut = 0; cut <= content.size(); ++cut) {
    range.set_begin(0);
    range.set_end(cut);
    std::vector<std::string> lines = Lines(range);
    range.set_begin(cut);
    range.set_end(content.size());
    for (const std::string& line : Lines(range)) lines.push_back(line);
    EXPECT_EQ(lines, all) << "cut at " << cut;
  }
}

TEST(FileLines, LongLinesCrossReads) {
  const std::string line(3'000'000, 'x');
  const std::string content = "a\n" + line + "\nb\n";
  proto::FileRange range = Take("long", content);
  EXPECT_EQ(Lines(range), (std::vector<std::string>{"a", line, "b"}));
  range.set_begin(2'000'000);
  EXPECT_EQ(Lines(range), (std::vector<std::string>{"b"}));
}

// All of a file without a line's end was collected in memory.
TEST(FileLines, ALineThatNoRecordHoldsIsNamed) {
  const proto::FileRange range = Take("endless", "short\n");
  std::ofstream(range.path(), std::ios::binary | std::ios::app) << std::string((64 << 20) + 1, 'x');
  const proto::FileRange whole = Found(range.path());
  std::deque<RecordBatch> batches;
  const absl::Status status = ReadFileLines(whole, batches);
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(status.message(), "line longer than 64 MiB, at byte 6 of " + range.path());
}

TEST(FileLines, AChangedFileIsNamed) {
  const proto::FileRange range = Take("changed", "one\ntwo\n");
  std::ofstream(range.path(), std::ios::app) << "three\n";
  std::deque<RecordBatch> batches;
  const absl::Status status = ReadFileLines(range, batches);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_NE(status.ToString().find(range.path()), std::string::npos);
}

// It spent all attempts of its task within milliseconds, and the job failed.
TEST(FileLines, AFileThatCannotBeReadForNowIsWaitedFor) {
  const proto::FileRange range = Take("waiting", "one\n");
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  std::deque<RecordBatch> batches;
  const absl::Status status = ReadFileLines(range, batches);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(Lines(range), (std::vector<std::string>{"one"}));
}

TEST(FileLines, AMissingFileIsNotFound) {
  proto::FileRange range = Take("gone", "one\n");
  std::remove(range.path().c_str());
  std::deque<RecordBatch> batches;
  EXPECT_TRUE(absl::IsNotFound(ReadFileLines(range, batches)));
}

}  // namespace
}  // namespace sluice
