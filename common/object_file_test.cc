#include "common/object_file.h"

#include <gtest/gtest.h>

#include "common/status.h"

namespace sluice {
namespace {

RecordBatch Words() {
  RecordBatch words;
  words.Append("one");
  words.Append("");
  words.Append("three");
  return words;
}

TEST(ObjectFile, GivesBackItsRecords) {
  const std::string file = EncodeObjectFile("text", Words().view());
  std::vector<uint32_t> scratch;
  const auto view = DecodeObjectFile(file, "text", scratch);
  ASSERT_TRUE(view.ok()) << view.status();
  ASSERT_EQ(view->count, 3u);
  EXPECT_EQ(view->record(0), "one");
  EXPECT_EQ(view->record(1), "");
  EXPECT_EQ(view->record(2), "three");
}

TEST(ObjectFile, AnEmptyPartitionIsAFileToo) {
  const std::string file = EncodeObjectFile("int64", RecordBatch(8).view());
  std::vector<uint32_t> scratch;
  const auto view = DecodeObjectFile(file, "int64", scratch);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->count, 0u);
}

TEST(ObjectFile, AnotherTypeIsNamed) {
  const std::string file = EncodeObjectFile("text", Words().view());
  std::vector<uint32_t> scratch;
  const auto view = DecodeObjectFile(file, "int64", scratch);
  EXPECT_TRUE(absl::IsInvalidArgument(view.status()));
  EXPECT_EQ(Message(view.status()), "its records are text, not int64");
}

TEST(ObjectFile, ItsHeaderSaysHowLongItIs) {
  const std::string file = EncodeObjectFile("text", Words().view());
  const auto size = ObjectSectionBytes(file.substr(0, kObjectHeaderBytes));
  ASSERT_TRUE(size.ok()) << size.status();
  EXPECT_EQ(*size, file.size());
  EXPECT_TRUE(absl::IsDataLoss(ObjectSectionBytes(file.substr(0, 23)).status()));
  std::string endless = file;
  endless.replace(16, 8, 8, '\xff');
  EXPECT_TRUE(absl::IsDataLoss(ObjectSectionBytes(endless).status()));
}

// The type is under the checksum too, so each flipped bit and each cut is found.
TEST(ObjectFile, AnyDamageIsFound) {
  const std::string file = EncodeObjectFile("text", Words().view());
  std::vector<uint32_t> scratch;
  for (size_t i = 0; i < file.size(); ++i) {
    std::string flipped = file;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    EXPECT_FALSE(DecodeObjectFile(flipped, "text", scratch).ok()) << "byte " << i;
    EXPECT_FALSE(DecodeObjectFile(file.substr(0, i), "text", scratch).ok()) << "cut at " << i;
  }
  EXPECT_FALSE(DecodeObjectFile(file + "x", "text", scratch).ok());
}

}  // namespace
}  // namespace sluice
