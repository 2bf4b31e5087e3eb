// Bytes of users that are no UTF-8, in every place that a checkpoint keeps: a printed row, a file's
// name, the text of an exception, a producer's name.
#include <filesystem>
#include <fstream>
#include <latch>
#include <memory>
#include <stdexcept>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class Feed : public Receiver<std::string> {
 public:
  explicit Feed(std::shared_ptr<std::latch> stored) : stored_(std::move(stored)) {}
  void Run(Receiving<std::string>& receiving) override {
    const std::vector<std::string> records{"fed \xe9"};
    receiving.Store(std::span<const std::string>(records), {.producer = "from \xe9", .first = 1});
    stored_->count_down();
    while (!receiving.WaitStopping(1000)) {
    }
  }

 private:
  const std::shared_ptr<std::latch> stored_;
};

std::string Checked(std::string_view row) {
  if (row == "bad") throw std::runtime_error("thrown \xe9");
  return std::string(row);
}

TEST(RawBytes, ACheckpointThatHoldsBytesThatAreNoUtf8IsOpenedAgain) {
  const std::string folder = testing::TempDir() + "raw-bytes";
  fs::remove_all(folder);
  fs::create_directories(folder + "/in");
  for (int life = 0; life < 3; ++life) {
    TestContext test({.slots = 1,
                      .conf = {{"bad_records", "aside"}, {"checkpoint_interval", "1s"}},
                      .checkpoint = folder + "/store"});
    const auto stored = std::make_shared<std::latch>(1);
    auto files = test.ssc().TextFileStream(folder + "/in");
    auto fed = test.ssc().ReceiverStream(Feed(stored));
    files.Union(fed).Map(Checked).Print();
    std::string printed;
    for (int batch = 0; batch < 3; ++batch) {
      if (life == 0 && batch == 1) {
        std::ofstream(folder + "/in/.aside") << "row \xe9\nbad\n";
        fs::rename(folder + "/in/.aside", folder + "/in/file \xe9");
      }
      const Outcome outcome = test.RunBatch();
      ASSERT_TRUE(outcome.ok()) << "life " << life << ": " << outcome.message;
      if (batch == 0) stored->wait();
      printed += test.printed();
    }
    // Each once: what was taken is known by its name.
    if (life == 0) {
      EXPECT_THAT(printed, HasSubstr("row \xe9"));
      EXPECT_THAT(printed, HasSubstr("fed \xe9"));
    } else {
      EXPECT_THAT(printed, Not(HasSubstr("\xe9")));
    }
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace sluice
