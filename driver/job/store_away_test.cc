// A checkpoint store that one node cannot read or write: who says so, and what goes on.
#include "driver/job/job_driver_core_fixture.h"
#include "driver/job/load_watch.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr int kMinute = 6'000;  // steps

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class StoreAwayTest : public testing::Test {
 protected:
  StoreAwayTest() { Begin(3, {}); }
  void Begin(int workers, JobDriverOptions options) {
    options.daemon_address = "daemon";
    cluster_.emplace(workers, RecoveredJob(), std::move(options));
    cluster_->amend_loaded = [this](const std::string& worker, proto::GrantDone& done) {
      if (!away_.contains(worker)) return true;
      done.set_error("ESTALE");
      done.set_may_pass(true);
      return !hangs_;
    };
    cluster_->Announce();
  }
  bool DecidesMore() {
    const uint64_t before = cluster_->core().state().decided_batches();
    return cluster_->RunUntil(
        [&] { return cluster_->core().state().decided_batches() > before; }, kMinute);
  }
  bool Said(const std::string& part) const {
    return std::any_of(cluster_->warnings.begin(), cluster_->warnings.end(),
                       [&](const std::string& text) { return Has(text, part); });
  }
  std::string Failure() { return cluster_->core().Status().failure(); }

  std::set<std::string> away_;  // workers
  bool hangs_ = false;          // and nothing is heard of that
  std::optional<Cluster> cluster_;
};

TEST_F(StoreAwayTest, AnExecutorThatCannotLoadWhileOthersHaveLoadedLeaves) {
  ASSERT_TRUE(DecidesMore());
  away_ = {"w1"};
  cluster_->Exit(cluster_->grants.back().members(0).executor(), false);
  EXPECT_TRUE(cluster_->RunUntil([&] { return Has(Failure(), "worker w1"); }, kMinute));
  EXPECT_TRUE(Has(Failure(), "ESTALE"));
  EXPECT_TRUE(Said("on worker w1 has not loaded the checkpoint"));
  EXPECT_TRUE(DecidesMore());
  EXPECT_TRUE(Said("leaves: it cannot load the checkpoint"));
  EXPECT_EQ(Failure(), "");
  away_.clear();
  EXPECT_TRUE(cluster_->RunUntil([&] { return cluster_->grants.back().members_size() == 3; },
                                 2 * kMinute));
  EXPECT_TRUE(DecidesMore());
}

TEST_F(StoreAwayTest, WhatNobodyCanLoadIsWaitedForAndNamed) {
  away_ = {"w0", "w1", "w2"};
  EXPECT_FALSE(DecidesMore());
  EXPECT_TRUE(Has(Failure(), "ESTALE"));
  EXPECT_FALSE(Said("leaves"));
  away_.clear();
  Begin(3, {});
  EXPECT_TRUE(DecidesMore());
}

TEST_F(StoreAwayTest, AnExecutorThatDoesNotEndItsLoadingIsNamed) {
  ASSERT_TRUE(DecidesMore());
  away_ = {"w1"};
  hangs_ = true;
  cluster_->Exit(cluster_->grants.back().members(0).executor(), false);
  EXPECT_TRUE(cluster_->RunUntil([&] { return Has(Failure(), "worker w1"); }, 2 * kMinute));
}

TEST_F(StoreAwayTest, APartThatIsNeverWrittenIsNamedAndTheNextCheckpointBegun) {
  JobDriverOptions options;
  options.checkpoint_interval_ms = 2'000;
  Begin(2, options);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->core().state().sealed_ms() > 0; }));
  cluster_->hold_parts = true;
  EXPECT_TRUE(cluster_->RunUntil([&] { return Has(Failure(), "not written"); }, 7 * kMinute));
  EXPECT_TRUE(Has(Failure(), "the first of worker w"));
  cluster_->hold_parts = false;
  const int64_t sealed_ms = cluster_->core().state().sealed_ms();
  EXPECT_TRUE(cluster_->RunUntil([&] { return cluster_->core().state().sealed_ms() > sealed_ms; }));
  EXPECT_EQ(Failure(), "");
}

// The driver, its log and the next manifest grew without bound.
TEST_F(StoreAwayTest, SoManyBatchesWithoutACheckpointAreThereAndNoMore) {
  JobDriverOptions options;
  options.batches_unsealed_max = 1'000;
  Begin(2, options);
  cluster_->fail_manifests = 1 << 30;
  cluster_->RunUntil([] { return false; }, 20 * kMinute);
  EXPECT_GE(cluster_->core().state().planned().size(), 1'000u);
  EXPECT_LE(cluster_->core().state().planned().size(), 1'030u);
  EXPECT_TRUE(Has(Failure(), "batches have no checkpoint yet")) << Failure();
  EXPECT_TRUE(Has(Failure(), "full")) << Failure();
  cluster_->fail_manifests = 0;
  EXPECT_TRUE(cluster_->RunUntil([&] { return Failure().empty(); }, 2 * kMinute));
  EXPECT_TRUE(DecidesMore());
}

TEST_F(StoreAwayTest, ADrainIsNotHeldByWhatHasNoCheckpoint) {
  JobDriverOptions options;
  options.checkpoint_interval_ms = 1'000;
  options.batches_unsealed_max = 1;
  Begin(2, options);
  cluster_->fail_manifests = 1 << 30;
  ASSERT_TRUE(cluster_->RunUntil([&] { return Has(Failure(), "intake is held"); }, kMinute));
  cluster_->fail_manifests = 0;
  cluster_->Feed(StopRequested{});
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->end.has_value(); }));
  EXPECT_EQ(cluster_->end->state, "FINISHED");
}

TEST_F(StoreAwayTest, AManifestWhosePutHangsIsNamed) {
  Begin(2, {});
  cluster_->hold_manifests = true;
  ASSERT_TRUE(cluster_->RunUntil([&] { return !cluster_->manifests.empty(); }));
  EXPECT_TRUE(cluster_->RunUntil([&] { return Has(Failure(), "has not taken the manifest"); },
                                 3 * kMinute));
  EXPECT_EQ(cluster_->manifests.size(), 1u);
  cluster_->Feed(ManifestPut{cluster_->manifests[0].batch_ms, "m", ""});
  EXPECT_EQ(Failure(), "");
}

TEST(LoadWatchTest, WhereMoreWorkersFailThanHaveLoadedItIsNotTheirs) {
  LoadWatch watch(5'000'000);
  proto::Grant grant;
  for (uint32_t executor = 1; executor <= 3; ++executor) {
    auto& member = *grant.add_members();
    member.set_executor(executor);
    member.set_worker_id("w" + std::to_string(executor));
  }
  watch.Begin(1, grant);
  watch.OnLoaded(1, 3);
  watch.OnFailed(1, 1, "EIO");
  watch.OnFailed(1, 2, "EIO");
  EXPECT_EQ(watch.Leaves(20'000'000), 1u);
  EXPECT_EQ(watch.Leaves(20'000'000), std::nullopt);
}

}  // namespace
}  // namespace sluice
