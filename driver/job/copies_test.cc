// Which tasks the job driver has copied, where, and what it says of it.
#include "driver/job/job_driver_core_fixture.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

// Three workers of two slots each, a batch with a block for each of its eighteen map tasks; its
// reports are held. The last six tasks are those of the last member.
constexpr int64_t kTasks = 18;

class DriverCopiesTest : public testing::Test {
 protected:
  void Begin(bool on = true, LineageGraph graph = Graph()) {
    JobDriverOptions options;
    options.straggler_copies = on;
    options.daemon_address = "daemon";
    cluster_ = std::make_unique<Cluster>(3, RecoveredJob(), options, std::move(graph));
    cluster_->Announce();
    cluster_->hold_reports = true;
    for (int64_t n = 1; n <= kTasks; ++n) {
      cluster_->PushBlock(9, n, n, n, "w" + std::to_string(n % 3));
    }
    const uint32_t tasks = on ? kTasks : kTasks / 3;
    ASSERT_TRUE(cluster_->RunUntil([&] {
      for (const auto& [executor, batch] : cluster_->granted) {
        if (batch.stages(0).total_tasks() != tasks || !HasRecords(batch)) continue;
        batch_ms_ = batch.batch_ms();
      }
      return batch_ms_ != 0;
    }));
    cluster_->copies.clear();
  }
  static bool HasRecords(const proto::GrantedBatch& batch) {
    for (const auto& task : batch.stages(0).tasks()) {
      if (task.pieces_size() > 0) return true;
    }
    return false;
  }
  const proto::Grant::Member& member(int index) { return cluster_->grants.back().members(index); }
  void Late(int helper, std::vector<int> missing, uint64_t generation = 1) {
    proto::Envelope m;
    auto& late = *m.mutable_stage_late();
    late.mutable_generation()->set_epoch(1);
    late.mutable_generation()->set_number(generation);
    late.set_batch_ms(batch_ms_);
    late.set_executor(member(helper).executor());
    for (const int one : missing) late.add_missing(member(one).executor());
    cluster_->Deliver(member(helper).address(), m);
  }
  // What the copies are that went to a member: its address, and the tasks.
  std::vector<std::pair<std::string, uint32_t>> Copies() {
    std::vector<std::pair<std::string, uint32_t>> all;
    for (const auto& [to, copy] : cluster_->copies) all.emplace_back(to, copy.task().task());
    cluster_->copies.clear();
    return all;
  }

  std::unique_ptr<Cluster> cluster_;
  int64_t batch_ms_ = 0;
};

using Sent = std::vector<std::pair<std::string, uint32_t>>;

TEST_F(DriverCopiesTest, WhoWaitsGetsTheTasksOfWhomItWaitsFor) {
  Begin();
  Late(0, {2});
  ASSERT_EQ(cluster_->copies.size(), 2u);
  const proto::TaskCopy& copy = cluster_->copies[0].second;
  EXPECT_EQ(copy.owner(), member(2).executor());
  EXPECT_EQ(copy.batch_ms(), batch_ms_);
  for (const auto& [executor, batch] : cluster_->granted) {
    if (executor != member(2).address() || batch.batch_ms() != batch_ms_) continue;
    EXPECT_EQ(copy.task().SerializeAsString(), batch.stages(0).tasks(5).SerializeAsString());
  }
  const std::string helper = member(0).address();
  EXPECT_EQ(Copies(), (Sent{{helper, 17}, {helper, 16}}));
  EXPECT_EQ(cluster_->core().Status().straggler_copies(), 2u);
}

TEST_F(DriverCopiesTest, EachTaskHasOneCopyWhoeverAsks) {
  Begin();
  Late(0, {2});
  const Sent first = Copies();
  Late(1, {2});
  const std::string other = member(1).address();
  EXPECT_EQ(Copies(), (Sent{{other, 15}, {other, 14}}));
  Late(1, {2});
  EXPECT_EQ(Copies().size(), 4u);
  Late(0, {2});  // the grant was lost, or it wants more: there are none
  EXPECT_EQ(Copies(), first);
  EXPECT_EQ(cluster_->core().Status().straggler_copies(), 6u);
}

TEST_F(DriverCopiesTest, NoMoreThanTheHelperHasSlots) {
  Begin();
  Late(0, {1, 2});
  EXPECT_EQ(Copies().size(), 2u);
  Late(0, {1, 2});
  EXPECT_EQ(Copies().size(), 4u);  // those again, and two more
}

TEST_F(DriverCopiesTest, NothingIsCopiedUnlessItIsAskedForInTheConfiguration) {
  Begin(/*on=*/false);
  Late(0, {2});
  EXPECT_EQ(Copies(), Sent{});
}

TEST_F(DriverCopiesTest, AMessageOfAnotherGenerationIsNotHeard) {
  Begin();
  Late(0, {2}, 7);
  EXPECT_EQ(Copies(), Sent{});
}

TEST_F(DriverCopiesTest, AStageWithOutputIsNeverCopied) {
  LineageGraph graph = Graph();
  Output output;
  output.kind = OutputKind::kTextFiles;
  output.parent = 0;
  output.prefix = "/out/raw";
  graph.AddOutput(output);
  Begin(true, std::move(graph));
  Late(0, {2});
  EXPECT_EQ(Copies(), Sent{});
}

// A task that ends executors would have ended those of its copies, too.
TEST_F(DriverCopiesTest, WhatMayHaveEndedAnExecutorIsNotCopied) {
  Begin();
  cluster_->Exit(member(2).executor(), true, {{batch_ms_, 0, 16}, {batch_ms_, 0, 17}});
  const size_t before = cluster_->granted.size();
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->granted.size() > before; }));
  cluster_->copies.clear();
  const uint64_t generation = cluster_->grants.back().generation().number();
  std::set<uint32_t> copied;
  for (int i = 0; i < 20; ++i) {
    const int members = cluster_->grants.back().members_size();
    ASSERT_EQ(members, 4);  // one that has the suspects alone
    for (int helper = 0; helper < members; ++helper) Late(helper, {0, 1, 2, 3}, generation);
    for (const auto& [to, task] : Copies()) copied.insert(task);
  }
  EXPECT_EQ(copied.size(), kTasks - 2u);
  EXPECT_FALSE(copied.contains(16) || copied.contains(17));
}

TEST_F(DriverCopiesTest, CopiesThatWereFirstAreCountedWithTheDecision) {
  Begin();
  cluster_->amend = [&](proto::BatchReport& report, const proto::GrantedBatch&) {
    if (report.executor() == member(2).executor()) report.set_outrun(2);
  };
  Late(0, {2});
  EXPECT_EQ(cluster_->core().Status().straggler_copies_won(), 0u);
  for (const auto& [executor, batch] : std::vector(cluster_->granted)) {
    cluster_->Release(batch.batch_ms());
  }
  EXPECT_GE(cluster_->core().Status().straggler_copies_won(), 2u);
}

TEST_F(DriverCopiesTest, ACopyThatGaveSomethingElseIsWarnedOf) {
  Begin();
  proto::Envelope m;
  auto& differs = *m.mutable_copy_differs();
  differs.mutable_generation()->set_epoch(1);
  differs.mutable_generation()->set_number(1);
  differs.set_batch_ms(batch_ms_);
  differs.set_task(4);
  cluster_->warnings.clear();
  cluster_->Deliver(member(0).address(), m);
  ASSERT_EQ(cluster_->warnings.size(), 1u);
  EXPECT_NE(cluster_->warnings[0].find("task 4 on PushStream"), std::string::npos);
  EXPECT_NE(cluster_->warnings[0].find("not deterministic"), std::string::npos);
  EXPECT_EQ(cluster_->core().Status().straggler_copies_differ(), 1u);
}

}  // namespace
}  // namespace sluice
