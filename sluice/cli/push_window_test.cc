#include <gtest/gtest.h>

#include "sluice/cli/push_client.h"

namespace sluice::cli {
namespace {

void AddLines(PushWindow* window, int count) {
  for (int i = 0; i < count; ++i) window->Add("r" + std::to_string(window->added() + 1));
}

TEST(PushWindow, SendsFullBatchesAndTheRestWhenFlushed) {
  PushWindow window({.batch_records = 2});
  AddLines(&window, 3);
  EXPECT_EQ(window.Next(false).first, 1);
  EXPECT_TRUE(window.Next(false).records.empty());
  PushWindow::Batch rest = window.Next(true);
  EXPECT_EQ(rest.first, 3);
  EXPECT_EQ(rest.records, std::vector<std::string>{"r3"});
}

TEST(PushWindow, IsDoneWhenAllOfTheInputIsAcknowledged) {
  PushWindow window({.batch_records = 2});
  AddLines(&window, 2);
  window.Next(true);
  window.Acknowledged(2);
  EXPECT_FALSE(window.Done());
  window.EndOfInput();
  EXPECT_TRUE(window.Done());
}

TEST(PushWindow, AfterABreakSendsAgainFromTheLoggedNumber) {
  PushWindow window({.batch_records = 10});
  AddLines(&window, 5);
  window.Next(true);
  window.Acknowledged(2);
  window.Rewind();
  PushWindow::Batch again = window.Next(true);
  EXPECT_EQ(again.first, 3);
  EXPECT_EQ(again.records, (std::vector<std::string>{"r3", "r4", "r5"}));
}

TEST(PushWindow, ARestartedProducerPassesOverWhatIsLogged) {
  PushWindow window({.batch_records = 10});
  window.Acknowledged(3);
  AddLines(&window, 5);
  PushWindow::Batch batch = window.Next(true);
  EXPECT_EQ(batch.first, 4);
  EXPECT_EQ(batch.records, (std::vector<std::string>{"r4", "r5"}));
}

TEST(PushWindow, AShorterInputThanIsLoggedIsDoneAtOnce) {
  PushWindow window({.batch_records = 10});
  window.Acknowledged(9);
  AddLines(&window, 5);
  EXPECT_TRUE(window.Next(true).records.empty());
  window.EndOfInput();
  EXPECT_TRUE(window.Done());
}

TEST(PushWindow, HoldsNoMoreThanItMay) {
  PushWindow window({.batch_records = 2, .records_max = 4});
  AddLines(&window, 4);
  EXPECT_TRUE(window.Full());
  EXPECT_FALSE(window.MustWait());
  window.Next(false);
  window.Next(false);
  EXPECT_TRUE(window.MustWait());
  window.Acknowledged(1);
  EXPECT_FALSE(window.Full());
  EXPECT_FALSE(window.MustWait());
}

TEST(PushWindow, LongLinesMakeNoMessageThatIsTooLarge) {
  PushWindow window({.batch_records = 1000, .batch_bytes = 10, .bytes_max = 100});
  for (const size_t size : {4, 4, 4, 30, 10, 1}) window.Add(std::string(size, 'x'));
  std::vector<size_t> counts;
  for (auto batch = window.Next(true); !batch.records.empty(); batch = window.Next(true)) {
    counts.push_back(batch.records.size());
  }
  EXPECT_EQ(counts, (std::vector<size_t>{2, 1, 1, 1, 1}));
  EXPECT_EQ(window.LargestWaiting().number, 4);
}

TEST(PushWindow, HoldsNoMoreBytesThanItMay) {
  PushWindow window({.batch_bytes = 10, .bytes_max = 20});
  for (int i = 0; i < 2; ++i) window.Add(std::string(9, 'x'));
  EXPECT_FALSE(window.Full());
  window.Add(std::string(9, 'x'));
  EXPECT_TRUE(window.Full());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(window.Next(false).records.size(), 1u);
  EXPECT_TRUE(window.MustWait());
  window.Acknowledged(1);
  EXPECT_FALSE(window.Full());
}

}  // namespace
}  // namespace sluice::cli
