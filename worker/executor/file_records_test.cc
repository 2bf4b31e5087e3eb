// Each format of a file stream: what its records are, and what is said of a file that does not fit.
#include "worker/executor/file_records.h"

#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

#include "common/codec.h"
#include "common/object_file.h"
#include "common/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

proto::FileRange Take(const std::string& name, const std::string& content) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  struct stat now;
  EXPECT_EQ(stat(path.c_str(), &now), 0);
  proto::FileRange range;
  range.set_path(path);
  range.set_end(content.size());
  range.set_file_size(content.size());
  range.set_modified_ns(int64_t{now.st_mtim.tv_sec} * 1'000'000'000 + now.st_mtim.tv_nsec);
  return range;
}

Node Source(FileFormat format, uint32_t length = 0) {
  Node node;
  node.record_type = "text";
  node.source.kind = SourceKind::kFiles;
  node.source.file_format = format;
  node.source.record_length = length;
  return node;
}

std::vector<std::string> Read(const Node& node, const proto::FileRange& range) {
  std::deque<RecordBatch> batches;
  const absl::Status status = ReadFileRecords(node, range, batches);
  if (!status.ok()) return {std::string(Message(status))};
  std::vector<std::string> records;
  for (const RecordBatch& batch : batches) {
    const BatchView view = batch.view();
    for (uint32_t i = 0; i < view.count; ++i) records.emplace_back(view.record(i));
  }
  return records;
}

TEST(FileRecords, FixedLengthRecordsOfARange) {
  const Node node = Source(FileFormat::kFixedLength, 3);
  proto::FileRange range = Take("fixed", std::string("ab\0cdefg\n", 9));
  EXPECT_THAT(Read(node, range), ElementsAre(std::string("ab\0", 3), "cde", "fg\n"));
  range.set_begin(3);
  range.set_end(6);
  EXPECT_THAT(Read(node, range), ElementsAre("cde"));
}

TEST(FileRecords, AFileOfAnotherLengthIsNamed) {
  const proto::FileRange range = Take("odd", "abcd");
  EXPECT_THAT(Read(Source(FileFormat::kFixedLength, 3), range),
              ElementsAre(range.path() +
                          " has 4 bytes, which are no whole number of records of 3 bytes"));
}

TEST(FileRecords, AWholeFileIsOneRecordWithItsPath) {
  const proto::FileRange range = Take("whole", "one\ntwo\n");
  const auto records = Read(Source(FileFormat::kWhole), range);
  ASSERT_EQ(records.size(), 1u);
  std::pair<std::string_view, std::string_view> file;
  ASSERT_TRUE((DecodeRecord<std::pair<std::string, std::string>>(records[0], file)));
  EXPECT_EQ(file.first, range.path());
  EXPECT_EQ(file.second, "one\ntwo\n");
}

TEST(FileRecords, ObjectFilesGiveTheirRecords) {
  RecordBatch batch;
  batch.Append("one");
  batch.Append("two");
  const proto::FileRange range = Take("objects", EncodeObjectFile("text", batch.view()));
  EXPECT_THAT(Read(Source(FileFormat::kObjects), range), ElementsAre("one", "two"));
}

TEST(FileRecords, AnObjectFileMayHaveSeveralSections) {
  RecordBatch first, second;
  first.Append("one");
  second.Append("two");
  second.Append("three");
  const std::string sections = EncodeObjectFile("text", first.view()) +
                               EncodeObjectFile("text", second.view());
  const Node node = Source(FileFormat::kObjects);
  EXPECT_THAT(Read(node, Take("sections", sections)), ElementsAre("one", "two", "three"));
  const proto::FileRange cut = Take("cut", sections.substr(0, sections.size() - 1));
  EXPECT_THAT(Read(node, cut),
              ElementsAre(cut.path() + ": the object file is cut off or longer than it says"));
  const proto::FileRange more = Take("more", sections + "x");
  EXPECT_THAT(Read(node, more), ElementsAre(more.path() + ": it is no object file"));
}

TEST(FileRecords, AnObjectFileThatDoesNotFitIsNamed) {
  const Node node = Source(FileFormat::kObjects);
  const proto::FileRange other = Take("other", EncodeObjectFile("int64", RecordBatch(8).view()));
  EXPECT_THAT(Read(node, other),
              ElementsAre(other.path() + ": its records are int64, not text"));
  const proto::FileRange none = Take("none", "just text");
  EXPECT_THAT(Read(node, none), ElementsAre(none.path() + ": it is no object file"));
}

TEST(FileRecords, AChangedFileIsNamedInEveryFormat) {
  for (const FileFormat format : {FileFormat::kLines, FileFormat::kWhole,
                                  FileFormat::kFixedLength, FileFormat::kObjects}) {
    const proto::FileRange range = Take("changed", "abc");
    std::ofstream(range.path(), std::ios::app) << "def";
    EXPECT_THAT(Read(Source(format, 3), range),
                ElementsAre(HasSubstr(range.path() + " was changed after it was taken")));
  }
}

TEST(FileRecords, RangesOfAConstantStream) {
  RecordBatch batch;
  for (const char* word : {"a", "bb", "", "dddd"}) batch.Append(word);
  std::string encoded;
  EncodeBatch(batch.view(), encoded);
  Node node;
  node.source.kind = SourceKind::kConstant;
  node.source.constant = std::make_shared<const std::string>(encoded);
  std::deque<RecordBatch> out;
  proto::ConstantRange range;
  range.set_begin(1);
  range.set_end(4);
  ASSERT_TRUE(ReadConstantRecords(node, range, out).ok());
  ASSERT_EQ(out.front().count(), 3u);
  EXPECT_EQ(out.front().view().record(2), "dddd");
  range.set_end(5);
  EXPECT_FALSE(ReadConstantRecords(node, range, out).ok());
}

}  // namespace
}  // namespace sluice
