#include "driver/job/log_queue.h"

#include <algorithm>
#include <string>

#include "checkpoint/log_record.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr size_t kLetterBytes = size_t{30} << 20;

proto::Entry Begun() {
  proto::Entry entry;
  entry.mutable_job_begun()->set_job_instance(77);
  entry.mutable_job_begun()->set_batch_interval_ms(1000);
  return entry;
}
proto::Entry Planned(int64_t batch_ms) {
  proto::Entry entry;
  entry.mutable_planned()->mutable_composition()->set_batch_ms(batch_ms);
  return entry;
}
proto::Entry DecidedWithLetter(int64_t batch_ms) {
  proto::Entry entry;
  entry.mutable_decided()->set_batch_ms(batch_ms);
  proto::Letter& letter = *entry.mutable_decided()->add_letters();
  letter.set_batch_ms(batch_ms);
  letter.set_number(1);
  letter.set_raw(std::string(kLetterBytes, 'x'));
  return entry;
}

class LogQueueTest : public testing::Test {
 protected:
  const std::vector<proto::Entry>& Append() const {
    return std::get<AppendEntries>(out_.back()).entries;
  }
  void OnDurable() {
    out_.clear();
    queue_.OnDurable({++slot_, 5}, out_);
  }

  JobState state_;
  LogQueue queue_{&state_, JobState(), 1};
  std::vector<DriverCommand> out_;
  uint64_t slot_ = 0;
};

TEST_F(LogQueueTest, WhatWaitedForASlowLogGoesInAppendsThatFitARecord) {
  queue_.Enqueue(Begun());
  queue_.Flush(out_);
  for (int64_t batch_ms = 1000; batch_ms <= 10'000; batch_ms += 1000) {
    queue_.Enqueue(Planned(batch_ms));
    queue_.Enqueue(DecidedWithLetter(batch_ms));
  }
  uint64_t entries = 0;
  for (OnDurable(); !queue_.idle(); OnDurable()) {
    uint64_t bytes = 0;
    for (const proto::Entry& entry : Append()) bytes += entry.ByteSizeLong();
    EXPECT_LT(bytes, kLogRecordBytesMax / 2);
    entries += Append().size();
  }
  EXPECT_EQ(entries, 20u);
  EXPECT_EQ(queue_.durable().last_decided_ms(), 10'000);
}

TEST_F(LogQueueTest, WhatIsSmallGoesInOneAppend) {
  queue_.Enqueue(Begun());
  queue_.Flush(out_);
  for (int64_t batch_ms = 1000; batch_ms <= 10'000; batch_ms += 1000) {
    queue_.Enqueue(Planned(batch_ms));
  }
  OnDurable();
  EXPECT_EQ(Append().size(), 10u);
}

TEST_F(LogQueueTest, WhatWaitsForAnEntryOfALaterAppendIsHeldBackUntilThatIsDurable) {
  queue_.Enqueue(Begun());
  queue_.Flush(out_);
  queue_.Enqueue(Planned(1000));
  queue_.Enqueue(DecidedWithLetter(1000));
  queue_.AfterDurable(CollectStore{3});
  const auto given = [this] {
    return std::any_of(out_.begin(), out_.end(), [](const DriverCommand& command) {
      return std::holds_alternative<CollectStore>(command);
    });
  };
  OnDurable();
  EXPECT_FALSE(given());
  OnDurable();
  EXPECT_FALSE(given());
  OnDurable();
  EXPECT_TRUE(given());
}

}  // namespace
}  // namespace sluice
