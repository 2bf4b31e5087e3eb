#include "common/crc32c.h"

#include <string>

#include "gtest/gtest.h"

namespace sluice {
namespace {

std::string Noise(size_t size) {
  std::string bytes(size, '\0');
  uint64_t state = 88172645463325252u;
  for (char& byte : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<char>(state);
  }
  return bytes;
}

std::string Counting(int first, int step) {
  std::string bytes;
  for (int i = 0; i < 32; ++i) bytes.push_back(static_cast<char>(first + step * i));
  return bytes;
}

// The values of RFC 3720, appendix B.4.
TEST(Crc32cTest, GivesThePublishedValues) {
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(Crc32c(Counting(0, 1)), 0x46dd794eu);
  EXPECT_EQ(Crc32c(Counting(31, -1)), 0x113fdb5cu);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST(Crc32cTest, BothWaysAgreeAtEveryLengthAndAlignment) {
  if (!internal::HasCrc32cHardware()) GTEST_SKIP() << "no SSE 4.2 here";
  const std::string noise = Noise(20000);
  const std::string_view view = noise;
  for (size_t length = 0; length < 100; ++length) {
    for (size_t begin = 0; begin < 9; ++begin) {
      const std::string_view part = view.substr(begin, length);
      ASSERT_EQ(internal::ExtendCrc32cPortable(7, part), internal::ExtendCrc32cHardware(7, part));
    }
  }
  for (size_t length : {3071u, 3072u, 3073u, 6144u, 6151u, 10000u, 19999u}) {
    const std::string_view part = view.substr(1, length);
    EXPECT_EQ(internal::ExtendCrc32cPortable(0, part), internal::ExtendCrc32cHardware(0, part))
        << length;
  }
}

TEST(Crc32cTest, IsExtendedPieceByPiece) {
  const std::string noise = Noise(9000);
  const std::string_view view = noise;
  for (size_t cut : {0u, 1u, 7u, 3072u, 8999u, 9000u}) {
    EXPECT_EQ(ExtendCrc32c(Crc32c(view.substr(0, cut)), view.substr(cut)), Crc32c(view)) << cut;
  }
}

}  // namespace
}  // namespace sluice
