#include "common/encoded_batch.h"

#include "gtest/gtest.h"

namespace sluice {
namespace {

RecordBatch Lines() {
  RecordBatch batch;
  for (const char* line : {"one", "", "three", "fifteen"}) batch.Append(line);
  return batch;
}

TEST(EncodedBatchTest, IsTheEncodingOfTheSameRecords) {
  const RecordBatch lines = Lines();
  std::string expected;
  EncodeBatch(lines.view(), expected);
  EncodedBatch one_by_one;
  for (uint32_t i = 0; i < lines.count(); ++i) one_by_one.Append(lines.view().record(i));
  EXPECT_EQ(one_by_one.Take(), expected);
  EncodedBatch reserved;
  reserved.Reserve(lines.size(), lines.count());
  reserved.Append(lines.view(), 0, 1);
  reserved.Append(lines.view(), 1, 1);
  reserved.Append(lines.view(), 1, 4);
  EXPECT_EQ(reserved.size(), lines.size());
  EXPECT_EQ(reserved.Take(), expected);
  EncodedBatch all;
  all.AppendAll(std::vector<std::string_view>{"one"});
  all.AppendAll(std::vector<std::string_view>{"", "three", "fifteen"});
  EXPECT_EQ(all.count(), lines.count());
  EXPECT_EQ(all.Take(), expected);
}

TEST(EncodedBatchTest, RecordsOfOneSizeMayComeInOnePiece) {
  EncodedBatch one_by_one(4), at_once(4);
  for (const char* number : {"aaaa", "bbbb", "cccc"}) one_by_one.Append(number);
  at_once.AppendFixed("aaaa", 1);
  at_once.AppendFixed("bbbbcccc", 2);
  EXPECT_EQ(at_once.count(), 3u);
  EXPECT_EQ(at_once.Take(), one_by_one.Take());
}

TEST(EncodedBatchTest, TakesPartOfAFixedSizeBatch) {
  RecordBatch numbers(4);
  for (const char* number : {"aaaa", "bbbb", "cccc"}) numbers.Append(number);
  EncodedBatch batch;
  batch.Append("x");
  batch.Append(numbers.view(), 1, 3);
  std::vector<uint32_t> scratch;
  const std::string encoded = batch.Take();
  const auto view = DecodeBatch(encoded, scratch);
  ASSERT_TRUE(view.has_value());
  ASSERT_EQ(view->count, 3u);
  EXPECT_EQ(view->record(0), "x");
  EXPECT_EQ(view->record(2), "cccc");
}

RecordBatch Numbers() {
  RecordBatch numbers(4);
  for (const char* number : {"aaaa", "bbbb", "cccc"}) numbers.Append(number);
  return numbers;
}

TEST(EncodedBatchTest, RecordsOfOneSizeHaveNoOffsets) {
  const RecordBatch numbers = Numbers();
  std::string expected;
  EncodeBatch(numbers.view(), expected);
  EncodedBatch one_by_one(4), reserved(4);
  for (uint32_t i = 0; i < numbers.count(); ++i) {
    one_by_one.bytes().append(numbers.view().record(i));
    one_by_one.EndRecord();
  }
  EXPECT_EQ(one_by_one.view().fixed_size, 4u);
  EXPECT_EQ(one_by_one.Take(), expected);
  reserved.Reserve(numbers.size(), numbers.count());
  reserved.Append(numbers.view(), 0, 2);
  reserved.Append("cccc");
  EXPECT_EQ(reserved.Take(), expected);
}

TEST(EncodedBatchTest, ARecordOfAnotherSizeBringsOffsets) {
  const RecordBatch lines = Lines();
  for (const bool whole : {false, true}) {
    EncodedBatch batch(4);
    batch.Append(Numbers().view(), 0, 2);
    if (whole) batch.Append(lines.view(), 0, lines.count());
    else batch.Append("three");
    std::vector<uint32_t> scratch;
    const std::string encoded = batch.Take();
    const auto view = DecodeBatch(encoded, scratch);
    ASSERT_TRUE(view.has_value());
    EXPECT_EQ(view->fixed_size, 0u);
    ASSERT_EQ(view->count, whole ? 6u : 3u);
    EXPECT_EQ(view->record(1), "bbbb");
    EXPECT_EQ(view->record(whole ? 4 : 2), "three");
  }
}

TEST(EncodedBatchTest, IsEmptyOnceItWasTaken) {
  EncodedBatch batch;
  batch.Append("one");
  batch.Take();
  EXPECT_EQ(batch.count(), 0u);
  std::string empty;
  EncodeBatch(RecordBatch().view(), empty);
  EXPECT_EQ(batch.Take(), empty);
}

TEST(EncodedBatchTest, RoomThatWasNotNeededIsGivenBack) {
  EncodedBatch batch;
  batch.Reserve(1 << 20, 1 << 10);
  batch.Append("one");
  EXPECT_LT(batch.Take().capacity(), 4096u);
}

TEST(RecordsThatFitTest, CountsBytesAndRecords) {
  const RecordBatch lines = Lines();  // 3, 0, 5 and 7 bytes
  EXPECT_EQ(RecordsThatFit(lines.view(), 0, 100, 100), 4u);
  EXPECT_EQ(RecordsThatFit(lines.view(), 0, 100, 2), 2u);
  EXPECT_EQ(RecordsThatFit(lines.view(), 0, 7, 100), 2u);
  EXPECT_EQ(RecordsThatFit(lines.view(), 0, 8, 100), 3u);
  EXPECT_EQ(RecordsThatFit(lines.view(), 2, 11, 100), 1u);
  EXPECT_EQ(RecordsThatFit(lines.view(), 2, 12, 100), 2u);
  EXPECT_EQ(RecordsThatFit(lines.view(), 0, 2, 100), 0u);
  RecordBatch numbers(4);
  for (const char* number : {"aaaa", "bbbb", "cccc"}) numbers.Append(number);
  EXPECT_EQ(RecordsThatFit(numbers.view(), 1, 7, 100), 1u);
  EXPECT_EQ(RecordsThatFit(numbers.view(), 1, 100, 100), 2u);
}

}  // namespace
}  // namespace sluice
