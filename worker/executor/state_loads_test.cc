// Which blocks of deltas a load of state reads, and how many at once.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "checkpoint/memory_object_store.h"
#include "common/encoded_batch.h"
#include "common/record_batch.h"
#include "worker/executor/no_threads.h"
#include "worker/executor/state_delta.h"
#include "worker/executor/state_store.h"
#include "worker/executor/word_graph.h"

namespace sluice {
namespace {

// Block n has the word "wn", in partition n % 4. So many reads wait for each other.
class Blocks : public BlockReader {
 public:
  explicit Blocks(int together) : together_(together) {}
  absl::StatusOr<std::unique_ptr<BlockBytes>> Read(const proto::BlockInfo& block,
                                                   const proto::GrantedBatch::Holders&) override {
    const uint64_t number = block.name().number();
    std::unique_lock lock(mutex_);
    read_.insert(number);
    most_ = std::max(most_, ++now_);
    if (now_ >= together_) met_ = true;
    changed_.notify_all();
    const bool met = changed_.wait_for(lock, std::chrono::seconds(20), [this] { return met_; });
    --now_;
    if (!met) return absl::UnavailableError("the others were not asked for");
    std::string record = DeltaHead("counts", number % 4);
    AppendDelta({"w" + std::to_string(number), "1", number, 0, false}, record);
    RecordBatch batch;
    batch.Append(record);
    std::string bytes;
    EncodeBatch(batch.view(), bytes);
    return std::make_unique<OwnedBlock>(std::move(bytes));
  }
  const std::set<uint64_t>& read() const { return read_; }
  int most() const { return most_; }

 private:
  const int together_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<uint64_t> read_;
  int now_ = 0;
  int most_ = 0;
  bool met_ = false;
};

class StateLoadsTest : public testing::Test {
 protected:
  // Two members of one slot: the first has partitions 0 and 1.
  StateLoadsTest() : graph_(WordGraph()), plan_(graph_, 4) { grant_.set_state_ms(100); }

  void Name(uint64_t number, bool says) {
    auto& block = *grant_.add_deltas()->mutable_block();
    block.mutable_name()->set_number(number);
    if (!says) return;
    block.add_partitions(number % 4);
    block.add_partitions(number % 4);
  }
  absl::Status Load(BlockReader& blocks, uint32_t ahead) {
    StateBackend backend;
    backend.read_ahead = ahead;
    state_ = std::make_unique<StateStore>(&plan_, 1024, std::move(backend));
    return state_->Load(grant_, 0, Ownership({1, 1}), &objects_, nullptr, &blocks);
  }
  bool Has(uint64_t number) {
    const StageId stage = plan_.stages().back().id;
    return state_->Open(stage, number % 4).state()->Get("w" + std::to_string(number)).has_value();
  }

  LineageGraph graph_;
  StagePlan plan_;
  MemoryObjectStore objects_;
  proto::Grant grant_;
  std::unique_ptr<StateStore> state_;
};

TEST_F(StateLoadsTest, OnlyDeltasOfOwnPartitionsAreRead) {
  for (uint64_t number = 1; number <= 8; ++number) Name(number, true);
  Blocks blocks(1);
  ASSERT_TRUE(Load(blocks, 0).ok());
  ASSERT_EQ(blocks.read(), (std::set<uint64_t>{1, 4, 5, 8}));
  for (const uint64_t number : blocks.read()) EXPECT_TRUE(Has(number)) << number;
}

// As it is of a batch that was decided by an earlier release.
TEST_F(StateLoadsTest, OneThatDoesNotSayWhatIsInItIsRead) {
  for (uint64_t number = 1; number <= 4; ++number) Name(number, false);
  Blocks blocks(1);
  ASSERT_TRUE(Load(blocks, 0).ok());
  EXPECT_EQ(blocks.read(), (std::set<uint64_t>{1, 2, 3, 4}));
}

TEST_F(StateLoadsTest, SeveralAreReadAtOnceButNotAll) {
  for (uint64_t number = 1; number <= 40; ++number) Name(number, true);
  Blocks blocks(3);
  const absl::Status loaded = Load(blocks, 3);
  ASSERT_TRUE(loaded.ok()) << loaded;
  EXPECT_EQ(blocks.most(), 3);
  EXPECT_EQ(blocks.read().size(), 20u);
  for (const uint64_t number : blocks.read()) EXPECT_TRUE(Has(number)) << number;
}

TEST_F(StateLoadsTest, DeltasAreReadWhereNoThreadCanBeMade) {
  for (uint64_t number = 1; number <= 8; ++number) Name(number, true);
  Blocks blocks(1);
  const NoThreads none;
  const absl::Status loaded = Load(blocks, 3);
  ASSERT_TRUE(loaded.ok()) << loaded;
  EXPECT_EQ(blocks.read(), (std::set<uint64_t>{1, 4, 5, 8}));
}

}  // namespace
}  // namespace sluice
