// An hour in which nothing comes.
#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

using testing::Optional;
using testing::UnorderedElementsAre;

size_t FilesBelow(const std::string& folder) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    files += entry.is_regular_file();
  }
  return files;
}

TEST(EmptyHour, KeepsTheStateEmitsItAndLeavesNoMoreBehindAtItsEnd) {
  const std::string root = testing::TempDir() + "empty-hour";
  std::filesystem::remove_all(root);
  {
    TestContext test({.conf = {{"log_sync", "off"}, {"checkpoint_interval", "10s"}},
                      .checkpoint = root});
    TestInput<std::string> lines(test);
    const auto counts = lines.stream().Map([](std::string_view line) {
      return std::pair{line, int64_t{1}};
    });
    TestOutput totals(test, counts.UpdateStateByKey("totals", [](std::span<const int64_t> values,
                                                                 std::optional<int64_t> total) {
                        return std::optional<int64_t>(total.value_or(0) +
                                                      static_cast<int64_t>(values.size()));
                      }));
    TestOutput window(test, counts.ReduceByKeyAndWindow(
                                std::plus<>(), {.length = std::chrono::seconds(60)}));
    lines.Push({"a", "b", "a"});
    size_t early = 0;
    for (int batch = 1; batch <= 3600; ++batch) {
      ASSERT_TRUE(test.RunBatch().ok());
      ASSERT_THAT(totals.last(),
                  Optional(UnorderedElementsAre(std::pair{"a", 2}, std::pair{"b", 1})));
      ASSERT_EQ(window.last()->size(), batch <= 60 ? 2u : 0u) << batch;
      if (batch == 900) early = FilesBelow(root);  // the log's slots stay for ten minutes
    }
    EXPECT_LE(FilesBelow(root), early + 5);
  }
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace sluice
