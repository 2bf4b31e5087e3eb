#include "common/record_batch.h"

#include "gtest/gtest.h"

namespace sluice {
namespace {

std::string Encoded(const RecordBatch& batch) {
  std::string out;
  EncodeBatch(batch.view(), out);
  return out;
}

RecordBatch Lines() {
  RecordBatch batch;
  for (const char* line : {"one", "", "three"}) batch.Append(line);
  return batch;
}

TEST(RecordBatchTest, ReadsBackWhatWasAppended) {
  const std::string encoded = Encoded(Lines());
  std::vector<uint32_t> scratch;
  const auto view = DecodeBatch(encoded, scratch);
  ASSERT_TRUE(view.has_value());
  ASSERT_EQ(view->count, 3u);
  EXPECT_EQ(view->record(0), "one");
  EXPECT_EQ(view->record(1), "");
  EXPECT_EQ(view->record(2), "three");
}

TEST(RecordBatchTest, FixedSizeRecordsNeedNoOffsets) {
  RecordBatch batch(8);
  batch.Append("12345678");
  batch.Append("abcdefgh");
  const std::string encoded = Encoded(batch);
  std::vector<uint32_t> scratch;
  const auto view = DecodeBatch(encoded, scratch);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->ends, nullptr);
  EXPECT_EQ(view->record(1), "abcdefgh");
}

TEST(RecordBatchTest, AppendAllShiftsOffsetsAndRefusesAnotherShape) {
  RecordBatch batch = Lines();
  ASSERT_TRUE(batch.AppendAll(Lines().view()));
  EXPECT_EQ(batch.count(), 6u);
  EXPECT_EQ(batch.view().record(5), "three");
  RecordBatch fixed(4);
  fixed.Append("1234");
  EXPECT_FALSE(batch.AppendAll(fixed.view()));
}

TEST(RecordBatchTest, MisalignedInputIsReadThroughScratch) {
  const std::string shifted = "x" + Encoded(Lines());
  std::vector<uint32_t> scratch;
  const auto view = DecodeBatch(std::string_view(shifted).substr(1), scratch);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->record(2), "three");
}

TEST(RecordBatchTest, EveryTruncationIsRefused) {
  const std::string encoded = Encoded(Lines());
  std::vector<uint32_t> scratch;
  for (size_t n = 0; n < encoded.size(); ++n) {
    EXPECT_FALSE(DecodeBatch(std::string_view(encoded).substr(0, n), scratch).has_value()) << n;
  }
}

TEST(RecordBatchTest, OffsetsOutOfOrderOrBeyondTheEndAreRefused) {
  std::string encoded = Encoded(Lines());
  std::vector<uint32_t> scratch;
  std::string descending = encoded;
  descending[encoded.size() - 8] = 1;  // second offset below the first
  EXPECT_FALSE(DecodeBatch(descending, scratch).has_value());
  std::string beyond = encoded;
  beyond[encoded.size() - 4] = 9;
  EXPECT_FALSE(DecodeBatch(beyond, scratch).has_value());
}

TEST(RecordBatchTest, WhatIsTakenIsWhatWouldBeEncoded) {
  for (const uint32_t fixed_size : {0u, 8u}) {
    for (const bool begun : {false, true}) {
      RecordBatch batch(fixed_size);
      for (const int records : {1000, 1010, 3, 0, 5000, 4990}) {
        RecordBatch same(fixed_size);
        if (begun) batch.BeginEncoded();
        for (int i = 0; i < records; ++i) {
          const std::string record = std::to_string(10'000'000 + i);
          batch.Append(record);
          same.Append(record);
        }
        ASSERT_EQ(batch.size(), same.size());
        EXPECT_EQ(Encoded(batch), Encoded(same));
        EXPECT_EQ(batch.TakeEncoded(), Encoded(same));
        EXPECT_TRUE(batch.empty());
      }
    }
  }
}

TEST(RecordBatchTest, ABatchThatIsAboutAsLargeAsTheLastIsTakenWithoutACopy) {
  for (const uint32_t fixed_size : {0u, 8u}) {
    RecordBatch batch(fixed_size);
    for (const int records : {5000, 4900, 5100}) {
      batch.BeginEncoded();
      for (int i = 0; i < records; ++i) batch.Append(std::to_string(10'000'000 + i));
      const char* const bytes = batch.bytes().data();
      const std::string encoded = batch.TakeEncoded();
      if (records != 5000) EXPECT_EQ(encoded.data(), bytes) << fixed_size << " " << records;
    }
  }
}

}  // namespace
}  // namespace sluice
