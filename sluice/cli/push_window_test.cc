#include <gtest/gtest.h>

#include "sluice/cli/push_client.h"

namespace sluice::cli {
namespace {

void AddLines(PushWindow* window, int count) {
  for (int i = 0; i < count; ++i) window->Add("r" + std::to_string(window->added() + 1));
}

TEST(PushWindow, SendsFullBatchesAndTheRestWhenFlushed) {
  PushWindow window(2, 100);
  AddLines(&window, 3);
  EXPECT_EQ(window.Next(false).first, 1);
  EXPECT_TRUE(window.Next(false).records.empty());
  PushWindow::Batch rest = window.Next(true);
  EXPECT_EQ(rest.first, 3);
  EXPECT_EQ(rest.records, std::vector<std::string>{"r3"});
}

TEST(PushWindow, IsDoneWhenAllOfTheInputIsAcknowledged) {
  PushWindow window(2, 100);
  AddLines(&window, 2);
  window.Next(true);
  window.Acknowledged(2);
  EXPECT_FALSE(window.Done());
  window.EndOfInput();
  EXPECT_TRUE(window.Done());
}

TEST(PushWindow, AfterABreakSendsAgainFromTheLoggedNumber) {
  PushWindow window(10, 100);
  AddLines(&window, 5);
  window.Next(true);
  window.Acknowledged(2);
  window.Rewind();
  PushWindow::Batch again = window.Next(true);
  EXPECT_EQ(again.first, 3);
  EXPECT_EQ(again.records, (std::vector<std::string>{"r3", "r4", "r5"}));
}

TEST(PushWindow, ARestartedProducerPassesOverWhatIsLogged) {
  PushWindow window(10, 100);
  window.Acknowledged(3);
  AddLines(&window, 5);
  PushWindow::Batch batch = window.Next(true);
  EXPECT_EQ(batch.first, 4);
  EXPECT_EQ(batch.records, (std::vector<std::string>{"r4", "r5"}));
}

TEST(PushWindow, AShorterInputThanIsLoggedIsDoneAtOnce) {
  PushWindow window(10, 100);
  window.Acknowledged(9);
  AddLines(&window, 5);
  EXPECT_TRUE(window.Next(true).records.empty());
  window.EndOfInput();
  EXPECT_TRUE(window.Done());
}

TEST(PushWindow, HoldsNoMoreThanItMay) {
  PushWindow window(2, 4);
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

}  // namespace
}  // namespace sluice::cli
