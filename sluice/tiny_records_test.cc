// Very many records of almost nothing.
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

constexpr int kLetters = 10;
constexpr int kOfEach = 1'000'000;

int64_t PeakMiB() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

TEST(TinyRecords, TenMillionOfAByteAreOneBatch) {
  const std::string folder = testing::TempDir() + "tiny-records";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  {
    std::ofstream file(folder + "/letters");
    for (int i = 0; i < kOfEach; ++i) file << "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
  }
  TestContext test;
  TestOutput counts(test, test.ssc()
                              .TextFileStream(folder)
                              .Map([](std::string_view letter) {
                                return std::pair{letter, int64_t{1}};
                              })
                              .ReduceByKey(std::plus<>()));
  const int64_t before_mib = PeakMiB();
  ASSERT_TRUE(test.RunBatch().ok());
  const auto rows = counts.last();
  ASSERT_TRUE(rows.has_value());
  EXPECT_EQ(rows->size(), kLetters);
  for (const auto& [letter, count] : *rows) EXPECT_EQ(count, kOfEach) << letter;
  RecordProperty("grown_mib", static_cast<int>(PeakMiB() - before_mib));
  EXPECT_LT(PeakMiB() - before_mib, 200);  // ten times the file
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice
