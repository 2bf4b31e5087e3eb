// A job in one process whose received blocks are in the store: what it goes on with when it was
// killed before a checkpoint of them.
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <mutex>

#include "gtest/gtest.h"
#include "sluice/sluice.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

// Stores the numbers up to `last`, behind what is logged.
class Numbers : public Receiver<int64_t> {
 public:
  explicit Numbers(int64_t last) : last_(last) {}
  void Run(Receiving<int64_t>& receiving) override {
    int64_t logged = receiving.LastLogged("numbers").value_or(0);
    while (logged < last_ && !receiving.stopping()) {
      const std::vector<int64_t> next{logged + 1};
      logged = receiving
                   .Store(std::span<const int64_t>(next),
                          {.producer = "numbers", .first = logged + 1})
                   .value_or(logged);
    }
    while (!receiving.stopping()) receiving.WaitStopping(1000);
  }

 private:
  const int64_t last_;
};

// Runs until the sum of all numbers ever received is that of 1 to `last`; false: it never was.
bool RunTo(int64_t last, const std::string& checkpoint, bool killed) {
  std::mutex mutex;
  std::condition_variable changed;
  int64_t sum = 0;
  StreamingContext ssc({.name = "sums",
                        .batch_interval = 20ms,
                        .checkpoint = checkpoint,
                        .conf = {{"received_log", "on"}, {"checkpoint_interval", "1h"}}});
  ssc.ReceiverStream(Numbers(last))
      .Map([](int64_t number) { return std::pair{int64_t{0}, number}; })
      .UpdateStateByKey("sum",
                        [](std::span<const int64_t> numbers, std::optional<int64_t> before) {
                          int64_t total = before.value_or(0);
                          for (const int64_t number : numbers) total += number;
                          return std::optional(total);
                        })
      .ForeachBatch([&](const Batch<std::pair<int64_t, int64_t>>& batch) {
        std::lock_guard lock(mutex);
        batch.ForEach([&](const std::pair<int64_t, int64_t>& row) { sum = row.second; });
        changed.notify_all();
      });
  const Outcome started = ssc.Start();
  EXPECT_TRUE(started.ok()) << started.message;
  std::unique_lock lock(mutex);
  const bool reached = changed.wait_for(lock, 30s, [&] { return sum == last * (last + 1) / 2; });
  lock.unlock();
  if (reached && killed) std::raise(SIGKILL);
  EXPECT_TRUE(ssc.Stop({.drain = false}).ok());
  return reached;
}

// It decided no batch any more, and went on acknowledging.
TEST(ReceivedLog, AJobInOneProcessGoesOnWithWhatItHadReceived) {
  const std::string root = testing::TempDir() + "received-log-of-one-process";
  std::filesystem::remove_all(root);
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(RunTo(50, "rocksdb:" + root, /*killed=*/true), testing::KilledBySignal(SIGKILL), "");
  EXPECT_TRUE(RunTo(80, "rocksdb:" + root, /*killed=*/false));
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace sluice
