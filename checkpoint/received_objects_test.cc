#include "checkpoint/received_objects.h"

#include "checkpoint/object_store.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(ReceivedObjects, NamesReadBack) {
  const ReceivedName name{0xabc, 3, ~uint64_t{0}, 17};
  EXPECT_EQ(ObjectOf(name), "received/0000000000000abc-3-ffffffffffffffff-17");
  EXPECT_EQ(ReceivedNameOf(ObjectOf(name)), name);
  EXPECT_TRUE(CheckObjectName(ObjectOf(name)).ok());
}

TEST(ReceivedObjects, OtherNamesAreNone) {
  for (const char* other :
       {"", "received/", "received/abc-3-1-17", "part-0000000000000abc-3-0000000000000001-1",
        "received/0000000000000abc-3-ffffffffffffffff-", "received/0000000000000abc-3-1",
        "received/0000000000000abc-3-ffffffffffffffff-17-18",
        "received/0000000000000ABC-3-ffffffffffffffff-17",
        "received/0000000000000abc-03-ffffffffffffffff-17",
        "received/0000000000000abc-4294967296-ffffffffffffffff-17"}) {
    EXPECT_FALSE(ReceivedNameOf(other).has_value()) << other;
  }
}

TEST(ReceivedObjects, EveryFlippedBitAndEveryCutIsFound) {
  const std::string batch = "some bytes of a batch";
  const std::string object = EncodeReceived(batch);
  const auto whole = DecodeReceived(object);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(*whole, batch);
  for (size_t bit = 0; bit < object.size() * 8; ++bit) {
    std::string flipped = object;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(DecodeReceived(flipped).ok()) << bit;
  }
  for (size_t size = 0; size < object.size(); ++size) {
    EXPECT_FALSE(DecodeReceived(object.substr(0, size)).ok()) << size;
  }
  EXPECT_TRUE(DecodeReceived(EncodeReceived("")).ok());
}

}  // namespace
}  // namespace sluice
