// Framers on the bytes of one connection, cut in every way.
#include "driver/api/framing.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::internal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ListSink final : public ReceiverSink {
 public:
  bool Store(std::string_view record) override {
    if (records.size() == stop_at) return false;
    records.emplace_back(record);
    return true;
  }
  bool StoreBlock(const BatchView& batch) override {
    ++blocks;
    return ReceiverSink::StoreBlock(batch);
  }
  std::optional<int64_t> StoreReliably(EncodedBatch, std::string_view, int64_t) override {
    return std::nullopt;
  }
  std::optional<int64_t> LastLogged(std::string_view) override { return 0; }
  bool stopping() const override { return records.size() >= stop_at; }
  bool WaitStopping(int64_t) override { return stopping(); }
  void ReportError(std::string_view) override {}

  std::vector<std::string> records;
  int blocks = 0;
  size_t stop_at = 1000;
};

struct Served {
  std::vector<std::string> records;
  std::string error;
  int blocks = 0;
};

// The bytes in pieces of this size, then the end of the stream.
Served Serve(const FramerFactory& framers, std::string_view bytes, size_t piece = SIZE_MAX,
             bool orderly = true) {
  ListSink sink;
  Served served;
  const auto framer = framers();
  bool open = true;
  while (open && !bytes.empty()) {
    open = framer->Feed(bytes.substr(0, piece), sink, served.error);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  if (open) framer->End(orderly, sink, served.error);
  served.records = sink.records;
  served.blocks = sink.blocks;
  return served;
}

// A digit says how many characters follow.
size_t TakeCounted(std::string_view bytes, RecordEmit<std::string>& emit) {
  const size_t size = bytes[0] - '0';
  if (size > 9) throw std::invalid_argument("no digit");
  if (bytes.size() < size + 1) return 0;
  emit(bytes.substr(1, size));
  return size + 1;
}

FramerFactory Counted() {
  return [] {
    return std::make_unique<UserFramer<std::string, decltype(&TakeCounted)>>(&TakeCounted);
  };
}

TEST(Framing, AUsersFunctionSeesWhatItLeft) {
  for (size_t piece = 1; piece <= 12; ++piece) {
    const Served served = Serve(Counted(), "3one05three", piece);
    EXPECT_THAT(served.records, ElementsAre("one", "", "three")) << piece;
    EXPECT_EQ(served.error, "") << piece;
  }
}

TEST(Framing, AnEndWithinARecordIsSaid) {
  const Served served = Serve(Counted(), "3one5thr");
  EXPECT_THAT(served.records, ElementsAre("one"));
  EXPECT_EQ(served.error, " in the middle of a record, of which 4 bytes had come");
}

TEST(Framing, WhatAUsersFunctionThrowsIsNotSwallowed) {
  EXPECT_THROW(Serve(Counted(), "x"), std::invalid_argument);
}

TEST(Framing, AFunctionThatTakesMoreThanThereIsIsFound) {
  const FramerFactory greedy = [] {
    const auto take = [](std::string_view bytes, RecordEmit<int64_t>&) { return bytes.size() + 1; };
    return std::make_unique<UserFramer<int64_t, decltype(take)>>(take);
  };
  EXPECT_THROW(Serve(greedy, "abc"), std::logic_error);
}

TEST(Framing, StopsWhenTheReceiverDoes) {
  ListSink sink;
  sink.stop_at = 1;
  std::string error;
  EXPECT_FALSE(Counted()()->Feed("1a1b1c", sink, error));
  EXPECT_THAT(sink.records, ElementsAre("a"));
  EXPECT_EQ(error, "");
}

TEST(Framing, LinesWithEitherEnd) {
  for (size_t piece = 1; piece <= 12; ++piece) {
    const Served served = Serve(LineFramers(), "one\r\n\ntwo\nlast", piece);
    EXPECT_THAT(served.records, ElementsAre("one", "", "two", "last")) << piece;
  }
}

// Half a price was stored as a price.
TEST(Framing, APieceOfALineIsNoRecordWhenTheConnectionBreaks) {
  const Served served = Serve(LineFramers(), "price 1\nprice 12", 5, /*orderly=*/false);
  EXPECT_THAT(served.records, ElementsAre("price 1"));
  EXPECT_THAT(served.error, HasSubstr("in the middle of a record, of which 8 bytes had come"));
}

// Its record was dropped as too large, without a word to anybody.
TEST(Framing, ALineWhoseEndComesJustBehindTheBoundIsGivenUp) {
  const std::string lines = "a\n" + std::string(kFrameBytesMax + 1, 'x') + "\nb\n";
  const Served served = Serve(LineFramers(), lines, kFrameBytesMax);
  EXPECT_THAT(served.records, ElementsAre("a"));
  EXPECT_THAT(served.error, HasSubstr("longer than 64 MiB"));
}

TEST(Framing, ALineWithoutEndIsGivenUp) {
  const std::string piece(size_t{1} << 20, 'x');
  ListSink sink;
  std::string error;
  const auto framer = LineFramers()();
  int fed = 0;
  while (framer->Feed(piece, sink, error)) ++fed;
  EXPECT_EQ(fed, 64);
  EXPECT_THAT(error, HasSubstr("longer than 64 MiB"));
}

std::string Frame(std::string_view bytes) {
  std::string frame;
  for (int shift = 24; shift >= 0; shift -= 8) {
    frame.push_back(static_cast<char>(bytes.size() >> shift));
  }
  frame.append(bytes);
  return frame;
}

std::string Block(const std::vector<std::string>& records) {
  RecordBatch batch;
  for (const std::string& record : records) batch.Append(record);
  std::string encoded;
  EncodeBatch(batch.view(), encoded);
  return encoded;
}

TEST(RawFraming, EachFrameIsABlockHoweverItIsCut) {
  const std::string bytes =
      Frame(Block({"one", "two"})) + Frame(Block({})) + Frame(Block({"three"}));
  for (const size_t piece : {size_t{1}, size_t{3}, size_t{64}, size_t{97}, bytes.size()}) {
    const Served served = Serve(RawFramers(0), bytes, piece);
    EXPECT_THAT(served.records, ElementsAre("one", "two", "three")) << piece;
    EXPECT_EQ(served.blocks, 2) << piece;
    EXPECT_EQ(served.error, "") << piece;
  }
}

TEST(RawFraming, AFrameThatIsNoBatchEndsTheConnection) {
  const std::string good = Block({"one"});
  for (size_t i = 0; i < good.size(); ++i) {
    std::string cut = good.substr(0, i);
    const Served served = Serve(RawFramers(0), Frame(good) + Frame(cut) + Frame(good));
    EXPECT_THAT(served.records, ElementsAre("one")) << i;
    EXPECT_THAT(served.error, HasSubstr("is no record batch")) << i;
  }
}

TEST(RawFraming, RecordsOfAnotherSizeEndTheConnection) {
  RecordBatch numbers(8);
  numbers.Append("12345678");
  std::string encoded;
  EncodeBatch(numbers.view(), encoded);
  EXPECT_THAT(Serve(RawFramers(8), Frame(encoded)).records, ElementsAre("12345678"));
  const Served served = Serve(RawFramers(0), Frame(encoded));
  EXPECT_THAT(served.records, IsEmpty());
  EXPECT_THAT(served.error, HasSubstr("their size is 8, not 0"));
}

TEST(RawFraming, ALengthBeyondTheBoundIsRefusedBeforeItsBytesCome) {
  EXPECT_THAT(Serve(RawFramers(0), std::string("\x04\x00\x00\x01", 4)).error,
              HasSubstr("longer than 64 MiB"));
}

TEST(RawFraming, AnEndWithinAFrameIsSaid) {
  EXPECT_THAT(Serve(RawFramers(0), Frame(Block({"one"})).substr(0, 20)).error,
              HasSubstr("in the middle of a record, of which 20 bytes had come"));
}

}  // namespace
}  // namespace sluice::internal
