// What a receiver executor knows of producers, of which there may be any number.
#include <gtest/gtest.h>

#include "worker/receiver/buffer_pools.h"
#include "worker/receiver/receiver_core.h"

namespace sluice {
namespace {

constexpr uint32_t kStream = 4;
constexpr uint64_t kIncarnation = 44;

class ReceiverProducersTest : public testing::Test {
 protected:
  // How often the job driver was asked where a producer stands.
  int Asked(const receiver::Commands& commands) {
    int asked = 0;
    for (const receiver::Command& command : commands) {
      const auto* send = std::get_if<Send>(&command);
      asked += send != nullptr && send->message.has_producer_query();
    }
    return asked;
  }
  receiver::Commands Ask(const std::string& producer, uint64_t id) {
    return core_.Step(now_, receiver::Ask{id, kStream, producer});
  }
  receiver::Commands Answer(const std::string& producer, const std::string& refused = "") {
    proto::Envelope e;
    auto* answer = e.mutable_producer_answer();
    answer->set_stream(kStream);
    answer->set_incarnation(kIncarnation);
    answer->set_producer(producer);
    answer->set_refused(refused);
    return core_.Step(now_, receiver::Received{e});
  }
  receiver::Commands Store(const std::string& producer, uint64_t id) {
    return core_.Step(now_, receiver::StoreRequest{id, kStream, batch_.view(), producer, 1});
  }

  ReceiverProducersTest() { batch_.Append("r"); }
  RecordBatch batch_;
  std::unique_ptr<BufferPool> pool_ = NewHeapPool();
  ReceiverCore core_{{7, {{kStream, kIncarnation}}, "daemon", 200'000}, pool_.get()};
  MonotonicTime now_ = 1'000'000;
};

// A client that begins anew under a new id each time made the receiver grow for ever.
TEST_F(ReceiverProducersTest, ManyProducersThatAreGoneAreNotRemembered) {
  EXPECT_EQ(Asked(Ask("first", 1)), 1);
  Answer("first");
  Ask("waits", 2);  // of this one no answer has come
  for (uint64_t i = 0; i < 1'000; ++i) {
    Ask("p" + std::to_string(i), 10 + i);
    Answer("p" + std::to_string(i));
  }
  EXPECT_EQ(Asked(Store("p999", 3)), 0);
  EXPECT_EQ(Asked(Store("first", 4)), 1);
  const receiver::Commands answered = Answer("waits");
  ASSERT_EQ(answered.size(), 1u);
  EXPECT_EQ(std::get<receiver::Answered>(answered[0]).id, 2u);
}

TEST_F(ReceiverProducersTest, AProducerThatIsRefusedHearsWhyAndStoresNothing) {
  Ask("p", 1);
  Store("p", 2);
  const receiver::Commands out = Answer("p", "too many");
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(std::get<receiver::Answered>(out[0]).refused, "too many");
  EXPECT_EQ(std::get<receiver::Completed>(out[1]).last, std::nullopt);
  EXPECT_TRUE(core_.idle());
  EXPECT_EQ(Asked(Ask("p", 3)), 1);  // it may be taken later
}

}  // namespace
}  // namespace sluice
