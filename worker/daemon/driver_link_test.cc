// Drivers that stand by for each other, as a worker finds them.
#include "worker/daemon/driver_link.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr MonotonicTime kSecond = 1'000'000;

class DriverLinkTest : public testing::Test {
 protected:
  // Where the link sends something within the next `us`, in order, repeats left out.
  std::vector<std::string> SendsTo(MonotonicTime us) {
    std::vector<std::string> to;
    for (MonotonicTime end = now_ + us; now_ < end; now_ += 20'000) {
      worker::Commands out;
      link_.Tick(now_, {}, out);
      for (const auto& command : out) {
        const auto* send = std::get_if<Send>(&command);
        if (send != nullptr && (to.empty() || to.back() != send->to)) to.push_back(send->to);
      }
    }
    return to;
  }
  void Registered(uint64_t epoch) {
    if (!link_.Takes(epoch)) return;
    proto::WorkerRegistered message;
    message.set_lease_ms(1000);
    worker::Commands out;
    link_.OnRegistered(now_, message, out);
  }
  void Leads(uint64_t epoch, const std::string& address) {
    if (!link_.Takes(epoch)) return;
    worker::Commands out;
    link_.OnLeads(now_, epoch, address, out);
  }
  void Down() {
    worker::Commands out;
    link_.OnDown(now_, out);
  }

  WorkerConfig config_ = [] {
    WorkerConfig config;
    config.driver_address = "a:1,b:1";
    return config;
  }();
  DriverLink link_{config_};
  MonotonicTime now_ = 100 * kSecond;
  using Names = std::vector<std::string>;
};

TEST_F(DriverLinkTest, TriesAllInTurnUntilOneAnswers) {
  const Names tried = SendsTo(2 * kSecond);
  ASSERT_GE(tried.size(), 3u);
  EXPECT_EQ(tried[0], "a:1");
  EXPECT_EQ(tried[1], "b:1");
  EXPECT_EQ(tried[2], "a:1");
}

TEST_F(DriverLinkTest, GoesToTheOneThatIsToldAtOnce) {
  SendsTo(kSecond / 10);
  Registered(1);
  Leads(2, "c:1");
  EXPECT_FALSE(link_.registered());
  EXPECT_EQ(SendsTo(kSecond / 10), Names{"c:1"});
  EXPECT_EQ(link_.address(), "c:1");
}

TEST_F(DriverLinkTest, WhatAnOlderLeaderSaysIsNotHeard) {
  SendsTo(kSecond / 10);
  Leads(5, "b:1");
  Registered(5);
  Leads(4, "a:1");
  EXPECT_EQ(link_.address(), "b:1");
  EXPECT_TRUE(link_.registered());
  EXPECT_FALSE(link_.Takes(4));
  EXPECT_TRUE(link_.Takes(5));
}

TEST_F(DriverLinkTest, AStandbyThatNamesADeadLeaderIsAskedLessAndLessOften) {
  int asked = 0;
  for (MonotonicTime end = now_ + 20 * kSecond; now_ < end;) {
    const Names to = SendsTo(20'000);
    if (to.empty()) continue;
    ++asked;
    if (to[0] == "a:1") Down();
    if (to[0] == "b:1") Leads(3, "a:1");
  }
  EXPECT_GT(asked, 4);
  EXPECT_LT(asked, 30);
}

TEST_F(DriverLinkTest, AfterSilenceTheNextIsTried) {
  SendsTo(kSecond / 10);
  Registered(1);
  const Names tried = SendsTo(5 * kSecond);
  ASSERT_GE(tried.size(), 2u);
  EXPECT_EQ(tried[0], "a:1");
  EXPECT_EQ(tried[1], "b:1");
}

TEST_F(DriverLinkTest, ADriverThatDoesNotKnowItIsToldAtOnce) {
  SendsTo(kSecond / 10);
  Registered(1);
  SendsTo(kSecond / 20);
  proto::WorkerRegistered unknown;
  unknown.set_register_again(true);
  worker::Commands out;
  link_.OnRegistered(now_, unknown, out);
  EXPECT_FALSE(link_.registered());
  link_.Tick(now_, {}, out);
  ASSERT_EQ(out.size(), 1u);
  const auto& told = std::get<Send>(out[0]);
  EXPECT_EQ(told.to, "a:1");
  EXPECT_TRUE(told.message.has_worker_register());
  Registered(1);
  EXPECT_TRUE(link_.registered());
  link_.OnRegistered(now_, unknown, out);
  EXPECT_TRUE(link_.registered()) << "another one may have its id: once a lease is enough";
}

}  // namespace
}  // namespace sluice
