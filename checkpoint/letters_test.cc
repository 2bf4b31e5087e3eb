// Which letters of a store are read, and when.
#include "checkpoint/letters.h"

#include <google/protobuf/text_format.h>

#include <vector>

#include "checkpoint/checkpoint_store.h"
#include "checkpoint/memory_object_store.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

class CountingStore : public MemoryObjectStore {
 public:
  absl::StatusOr<std::string> Get(const std::string& name) override {
    ++gets;
    return MemoryObjectStore::Get(name);
  }
  int gets = 0;
};

class ReadLettersTest : public testing::Test {
 protected:
  void Keep(uint64_t job_instance, int64_t batch_ms) {
    proto::KeptLetters kept;
    kept.set_job_instance(job_instance);
    for (uint32_t number = 1; number <= 2; ++number) {
      proto::Letter& letter = *kept.add_letters();
      letter.set_batch_ms(batch_ms);
      letter.set_number(number);
    }
    std::string text;
    google::protobuf::TextFormat::PrintToString(kept, &text);
    ASSERT_TRUE(store_.PutIfAbsent(LettersName(job_instance, batch_ms), text).ok());
  }
  // "batch-number" of each, at most so many.
  std::vector<std::string> Read(uint64_t job_instance, int64_t batch_ms, size_t most = 1000) {
    std::vector<std::string> names;
    status_ = ForLetters(&store_, job_instance, batch_ms, [&](const proto::Letter& letter) {
      names.push_back(std::to_string(letter.batch_ms()) + "-" + std::to_string(letter.number()));
      return names.size() < most;
    });
    return names;
  }

  CountingStore store_;
  absl::Status status_;
};

// All that was ever set aside was read for it, of every job, and held in memory.
TEST_F(ReadLettersTest, OfOneBatchOneObjectIsRead) {
  for (int64_t batch_ms = 1000; batch_ms < 51'000; batch_ms += 1000) {
    Keep(7, batch_ms);
    Keep(8, batch_ms);
  }
  EXPECT_EQ(Read(7, 5000), (std::vector<std::string>{"5000-1", "5000-2"}));
  EXPECT_EQ(store_.gets, 1);
}

TEST_F(ReadLettersTest, NoMoreIsReadThanIsTaken) {
  for (const int64_t batch_ms : {10'000, 2000, 3000}) Keep(7, batch_ms);
  EXPECT_EQ(Read(7, 0, 3), (std::vector<std::string>{"2000-1", "2000-2", "3000-1"}));
  EXPECT_EQ(store_.gets, 2);
  EXPECT_TRUE(status_.ok());
}

TEST_F(ReadLettersTest, AnObjectThatCannotBeReadHidesNoOthers) {
  ASSERT_TRUE(store_.PutIfAbsent(LettersName(7, 1000), "no: {").ok());
  Keep(7, 2000);
  EXPECT_EQ(Read(7, 0).size(), 2u);
  EXPECT_TRUE(absl::IsDataLoss(status_));
  EXPECT_TRUE(Read(8, 0).empty());
  EXPECT_TRUE(status_.ok());
}

}  // namespace
}  // namespace sluice
