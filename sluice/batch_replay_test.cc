// A batch as a job ran it: what was left out of it, and what was lost.
#include "sluice/batch_replay.h"

#include <unistd.h>

#include "checkpoint/posix_object_store.h"
#include "checkpoint/received_objects.h"
#include "common/status.h"
#include "gtest/gtest.h"
#include "worker/executor/word_graph.h"

namespace sluice {
namespace {

class BatchReplayTest : public testing::Test {
 protected:
  BatchReplayTest() {
    job_.set_job_instance(7);
    job_.set_partitions(1);
    job_.set_key_groups(16);
    job_.set_batch_interval_ms(100);
    batch_.mutable_composition()->set_batch_ms(1000);
    batch_.mutable_composition()->add_sources()->add_tasks();
    batch_.mutable_decided()->set_batch_ms(1000);
  }
  const proto::BlockName& AddBlock(uint64_t number, const std::vector<std::string>& words) {
    auto& task = *batch_.mutable_composition()->mutable_sources(0)->mutable_tasks(0);
    proto::BlockInfo& block = *task.add_pieces()->mutable_block();
    block.mutable_name()->set_job_instance(7);
    block.mutable_name()->set_number(number);
    block.set_records(words.size());
    EXPECT_TRUE(store_->PutIfAbsent(ObjectOf({7, 0, 0, number}),
                                    EncodeReceived(EncodedWords(words))).ok());
    return block.name();
  }
  void LeaveOut(uint64_t record) {
    if (batch_.decided().left_out().empty()) batch_.mutable_decided()->add_left_out();
    batch_.mutable_decided()->mutable_left_out(0)->add_records(record);
  }
  // What it prints, or why it cannot be run again.
  std::vector<std::string> Rows() {
    const LineageGraph graph = WordGraph();
    const StagePlan plan(graph, 1);
    const std::unique_ptr<StatePartCodec> codec = NewPlainStatePartCodec();
    BatchReplay replay(&plan, job_, store_.get(), codec.get());
    EXPECT_TRUE(replay.Load(nullptr).ok());
    const auto report = replay.Run(batch_, /*outputs=*/true);
    if (!report.ok()) return {std::string(Message(report.status()))};
    const auto& printed = report->outputs(0).printed();
    return {printed.begin(), printed.end()};
  }

  const std::string folder_ = testing::TempDir() + "/replay_" + std::to_string(getpid()) + "_" +
                              testing::UnitTest::GetInstance()->current_test_info()->name();
  const std::unique_ptr<PosixObjectStore> store_ = *PosixObjectStore::Open(folder_);
  proto::JobBegun job_;
  proto::ReplayCase::Batch batch_;
};

TEST_F(BatchReplayTest, WhatWasLeftOutIsLeftOut) {
  AddBlock(1, {"a", kBadWord, "b"});
  LeaveOut(1);
  EXPECT_EQ(Rows(), (std::vector<std::string>{"a 1", "b 1"}));
}

// Of the records behind the lost ones others were left out, and the bad one was kept in.
TEST_F(BatchReplayTest, ARecordThatIsLeftOutKeepsItsPlaceWhenABlockBeforeItIsLost) {
  *batch_.add_lost() = AddBlock(1, {"lost", "gone"});
  AddBlock(2, {"a", kBadWord, "b", "c"});
  LeaveOut(3);
  EXPECT_EQ(Rows(), (std::vector<std::string>{"a 1", "b 1", "c 1"}));
}

}  // namespace
}  // namespace sluice
