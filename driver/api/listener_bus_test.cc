#include "driver/api/listener_bus.h"

#include <future>
#include <stdexcept>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::internal {
namespace {

using testing::ElementsAre;

ListenerBus::Call Batch(int64_t time_ms) {
  return [time_ms](StreamingListener& listener) {
    BatchInfo info;
    info.time_ms = time_ms;
    listener.OnBatchSubmitted(info);
  };
}

class Recorder : public StreamingListener {
 public:
  void OnBatchSubmitted(const BatchInfo& info) override {
    times.push_back(info.time_ms);
    threads.insert(std::this_thread::get_id());
    inside &= CallbackScope::Inside();
  }
  std::vector<int64_t> times;
  std::set<std::thread::id> threads;
  bool inside = true;
};

class Thrower : public StreamingListener {
 public:
  void OnBatchSubmitted(const BatchInfo& info) override {
    if (info.time_ms == 1) throw std::runtime_error("no");
    throw 7;
  }
};

// Stands still in its first call until it is let go.
class Stuck : public StreamingListener {
 public:
  void OnBatchSubmitted(const BatchInfo&) override {
    if (heard++ == 0) {
      entered.set_value();
      go.get_future().wait();
    }
  }
  std::promise<void> entered, go;
  size_t heard = 0;
};

TEST(ListenerBus, DeliversInOrderOnOneThreadOfItsOwn) {
  const auto recorder = std::make_shared<Recorder>();
  ListenerBus bus;
  bus.Post(Batch(0));  // nobody listens yet
  bus.Add(recorder);
  for (int64_t time = 1; time <= 100; ++time) bus.Post(Batch(time));
  bus.Flush();
  ASSERT_EQ(recorder->times.size(), 100u);
  EXPECT_TRUE(std::is_sorted(recorder->times.begin(), recorder->times.end()));
  EXPECT_EQ(recorder->threads.size(), 1u);
  EXPECT_FALSE(recorder->threads.contains(std::this_thread::get_id()));
  EXPECT_TRUE(recorder->inside);
  EXPECT_FALSE(CallbackScope::Inside());
}

TEST(ListenerBus, AThrowingListenerHarmsNoOther) {
  const auto recorder = std::make_shared<Recorder>();
  ListenerBus bus;
  bus.Add(std::make_shared<Thrower>());
  bus.Add(recorder);
  bus.Post(Batch(1));
  bus.Post(Batch(2));
  bus.Flush();
  EXPECT_THAT(recorder->times, ElementsAre(1, 2));
}

TEST(ListenerBus, ARemovedListenerHearsNothingMore) {
  const auto recorder = std::make_shared<Recorder>();
  ListenerBus bus;
  bus.Add(recorder);
  bus.Post(Batch(1));
  bus.Remove(recorder);
  bus.Post(Batch(2));
  bus.Flush();
  EXPECT_THAT(recorder->times, ElementsAre(1));
}

TEST(ListenerBus, ASlowListenerCostsAtMostItsQueue) {
  const auto stuck = std::make_shared<Stuck>();
  ListenerBus bus;
  bus.Add(stuck);
  bus.Post(Batch(1));
  stuck->entered.get_future().wait();
  for (size_t i = 0; i < ListenerBus::kQueueMax + 5; ++i) bus.Post(Batch(2));  // never blocks
  EXPECT_EQ(bus.dropped(), 5u);
  stuck->go.set_value();
  bus.Flush();
  EXPECT_EQ(stuck->heard, ListenerBus::kQueueMax + 1);
}

TEST(ListenerBus, ItsEndDeliversWhatWaits) {
  const auto recorder = std::make_shared<Recorder>();
  {
    ListenerBus bus;
    bus.Add(recorder);
    for (int64_t time = 1; time <= 10; ++time) bus.Post(Batch(time));
  }
  EXPECT_EQ(recorder->times.size(), 10u);
}

}  // namespace
}  // namespace sluice::internal
