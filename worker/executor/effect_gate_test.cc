#include "worker/executor/effect_gate.h"

#include <gtest/gtest.h>

#include <future>

namespace sluice {
namespace {

constexpr GenerationId kFirst{1, 1};
constexpr GenerationId kSecond{1, 2};
constexpr GenerationId kNextEpoch{2, 1};

TEST(EffectGate, NothingOfAnOlderGenerationBegins) {
  EffectGate gate;
  gate.Begin(kSecond);
  EXPECT_FALSE(EffectGate::Pass(&gate, kFirst).Enter());
  EXPECT_TRUE(EffectGate::Pass(&gate, kSecond).Enter());
  gate.Begin(kFirst);  // a message that comes late
  EXPECT_FALSE(EffectGate::Pass(&gate, kFirst).Enter());
  gate.Begin(kNextEpoch);
  EXPECT_FALSE(EffectGate::Pass(&gate, kSecond).Enter());
}

TEST(EffectGate, WaitsForWhatAFormerGenerationBegan) {
  EffectGate gate;
  gate.Begin(kFirst);
  std::promise<void> entered, finish;
  std::atomic<bool> ended = false;
  auto old = std::async(std::launch::async, [&] {
    EffectGate::Pass pass(&gate, kFirst);
    EXPECT_TRUE(pass.Enter());
    entered.set_value();
    finish.get_future().wait();
    ended = true;
  });
  entered.get_future().wait();
  gate.Begin(kSecond);
  EffectGate::Pass own(&gate, kSecond);
  EXPECT_TRUE(own.Enter());  // one of the new generation does not count
  auto waiting = std::async(std::launch::async, [&] {
    gate.AwaitOlder(kSecond);
    EXPECT_TRUE(ended);
  });
  finish.set_value();
  waiting.wait();
  old.wait();
}

}  // namespace
}  // namespace sluice
