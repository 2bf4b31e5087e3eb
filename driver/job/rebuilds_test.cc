// Decided batches that run again to rebuild state: what is said when they leave another one.
#include <set>
#include <string>

#include "driver/job/job_driver_core_fixture.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

// Of the states of two operators, over all partitions.
struct Digests {
  uint64_t carts = 0;
  uint64_t totals = 0;
};

void AddState(proto::BatchReport& report, const char* operator_name, uint64_t digest) {
  auto& state = *report.add_states();
  state.set_operator_name(operator_name);
  state.set_digest(digest);
}

class RebuildsTest : public testing::Test {
 protected:
  // Batches are decided; an executor is lost, and those that no checkpoint covers run again, on the
  // other one alone and on two.
  void Rebuild(const Digests& first, const Digests& again) {
    cluster_.amend = [=, this](proto::BatchReport& report, const proto::GrantedBatch& batch) {
      const auto& members = cluster_.grants.back().members();
      const auto others = static_cast<uint64_t>(members.size() - 1);
      const bool leads = members[0].executor() == report.executor();
      const Digests& all = batch.rebuild() ? again : first;
      AddState(report, "totals", leads ? all.totals - others : 1);
      AddState(report, "carts", leads ? all.carts - others : 1);
    };
    cluster_.Announce();
    ASSERT_TRUE(cluster_.RunUntil([&] { return Decided() == 3; }));
    cluster_.granted.clear();
    cluster_.Exit(cluster_.grants.back().members(0).executor(), false);
    cluster_.warnings.clear();  // of the loss
    ASSERT_TRUE(cluster_.RunUntil([&] { return Decided() == 4; }));
    ASSERT_EQ(cluster_.grants.back().members_size(), 2);
    for (const auto& [executor, batch] : cluster_.granted) {
      if (batch.rebuild()) rebuilt_.insert(batch.batch_ms());
    }
    ASSERT_GT(rebuilt_.size(), 1u);
  }
  uint64_t Decided() { return cluster_.core().state().decided_batches(); }
  std::set<std::string> Said() const {
    return {cluster_.warnings.begin(), cluster_.warnings.end()};
  }

  Cluster cluster_{2};
  std::set<int64_t> rebuilt_;
};

TEST_F(RebuildsTest, AnotherStateIsShownWithTheNameOfItsOperator) {
  Rebuild({.carts = 30, .totals = 9}, {.carts = 31, .totals = 9});
  std::set<std::string> expected;
  for (const int64_t batch_ms : rebuilt_) {
    expected.insert("operator carts gave another state when batch " + std::to_string(batch_ms) +
                    " was run again: it is not deterministic");
  }
  EXPECT_EQ(Said(), expected);
}

TEST_F(RebuildsTest, TheSameStateInOtherHandsIsNoOther) {
  Rebuild({.carts = 30, .totals = 9}, {.carts = 30, .totals = 9});
  EXPECT_EQ(Said(), std::set<std::string>());
}

}  // namespace
}  // namespace sluice
