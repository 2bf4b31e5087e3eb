// Letters in the job driver's core: decided with their batch, kept in the store once, left out
// again by whoever rebuilds the state, and run again once.
#include "checkpoint/checkpoint_store.h"
#include "driver/job/job_driver_core_fixture.h"
#include "driver/job/log_recovery_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::HasSubstr;

JobDriverOptions Aside(uint32_t max = 10) {
  JobDriverOptions options;
  options.bad_records_max = max;
  options.objects = "/store/objects";
  options.checkpoint_interval_ms = 3'600'000;
  return options;
}

proto::Letter LetterOf(uint64_t record) {
  proto::Letter letter;
  letter.set_operator_name("Map");
  letter.set_error("it threw");
  letter.set_source("block 1 of stream 0");
  SourceSpec source;
  source.kind = SourceKind::kPush;
  source.stream = "orders";
  letter.set_source_key(SourceKey(source));
  letter.set_record(static_cast<int64_t>(record));
  letter.set_raw("record " + std::to_string(record));
  return letter;
}

// Records 4 and 2 of the first task of every batch that has a block are bad.
void TwoAreBad(proto::BatchReport& report, const proto::GrantedBatch& batch) {
  for (const auto& stage : batch.stages()) {
    for (const auto& task : stage.tasks()) {
      if (batch.rebuild() || task.pieces().empty() || !task.pieces(0).has_block()) continue;
      auto& left = *report.add_left_out();
      left.set_task(task.task());
      left.add_records(2);
      left.add_records(4);
      for (const uint64_t record : {4, 2}) {
        proto::Letter& letter = *report.add_letters() = LetterOf(record);
        letter.set_batch_ms(batch.batch_ms());
      }
    }
  }
}

class LettersTest : public testing::Test {
 protected:
  explicit LettersTest() { Begin(Aside()); }
  void Begin(JobDriverOptions options, RecoveredJob recovered = {}) {
    cluster_.emplace(2, std::move(recovered), std::move(options));
    cluster_->amend = TwoAreBad;
    cluster_->Announce();
  }
  const JobState& state() { return cluster_->core().state(); }
  void PushTen() { cluster_->PushBlock(9, 1, 1, 10, "w0", "w1"); }
  bool Decided() {
    return cluster_->RunUntil([&] { return state().letters().count() > 0; });
  }
  // Of the batch that has letters.
  proto::Decided InLog() {
    for (const proto::Entry& entry : cluster_->log) {
      if (entry.decided().letters_size() > 0) return entry.decided();
    }
    return {};
  }
  int KeptInLog() {
    return static_cast<int>(std::count_if(cluster_->log.begin(), cluster_->log.end(),
                                          [](const auto& e) { return e.has_letters_kept(); }));
  }
  // A driver that goes on from what the log has.
  void Relaunch() {
    Begin(Aside(), RecoveredFrom(cluster_->log));
  }
  proto::ReplayAnswer Replay(uint64_t request, const std::vector<proto::Letter>& letters) {
    proto::Envelope m;
    m.mutable_replay_letters()->set_request(request);
    for (const auto& letter : letters) *m.mutable_replay_letters()->add_letters() = letter;
    cluster_->Deliver("daemon", m);
    return cluster_->core().Status().replay();
  }
  std::vector<proto::Letter> Both() {
    const proto::Decided decided = InLog();
    return {decided.letters().begin(), decided.letters().end()};
  }
  // Two of them fit into no message.
  static std::vector<proto::Letter> Large(std::vector<proto::Letter> letters) {
    for (proto::Letter& letter : letters) letter.set_raw(std::string(size_t{45} << 20, 'x'));
    return letters;
  }
  // What the batches planned since then have of records of the plan.
  uint64_t Inlined() {
    uint64_t records = 0;
    for (const auto& entry : cluster_->log) {
      for (const auto& source : entry.planned().composition().sources()) {
        for (const auto& task : source.tasks()) {
          for (const auto& piece : task.pieces()) records += piece.inlined().records();
        }
      }
    }
    return records;
  }

  std::optional<Cluster> cluster_;
};

TEST_F(LettersTest, AreNumberedInOrderAndDecidedWithTheirBatch) {
  PushTen();
  ASSERT_TRUE(Decided());
  const proto::Decided decided = InLog();
  ASSERT_EQ(decided.letters_size(), 2);
  EXPECT_EQ(decided.letters(0).record(), 2);
  EXPECT_EQ(decided.letters(0).number(), 1u);
  EXPECT_EQ(decided.letters(1).number(), 2u);
  EXPECT_EQ(decided.left_out_size(), 1);
  EXPECT_EQ(decided.records(), 10u);
  EXPECT_EQ(cluster_->core().Status().letters(), 2u);
  EXPECT_EQ(cluster_->core().Status().letters_at(), "/store/objects/letters/");
  EXPECT_THAT(cluster_->warnings.back(), HasSubstr("set aside 2 records"));
}

TEST_F(LettersTest, AreInTheStoreOnceTheirDecisionIsDurableAndNotBefore) {
  PushTen();
  cluster_->RunUntil([&] { return !state().blocks().empty(); });
  cluster_->hold_log = true;
  ASSERT_TRUE(Decided());
  EXPECT_TRUE(cluster_->objects.empty());
  cluster_->hold_log = false;
  cluster_->MakeDurable();
  ASSERT_TRUE(cluster_->RunUntil([&] { return KeptInLog() > 0; }));
  const std::string name = LettersName(state().job().job_instance(), InLog().batch_ms());
  ASSERT_TRUE(cluster_->objects.contains(name));
  EXPECT_THAT(cluster_->objects[name], HasSubstr("record 4"));
  cluster_->RunUntil([] { return false; }, 50);
  EXPECT_EQ(KeptInLog(), 1);
}

// Accepted losses moved what is left out to other records.
TEST_F(LettersTest, WhatIsLostBeforeARecordThatIsLeftOutIsSaidToWhoeverRebuildsState) {
  const auto push = [&](uint64_t number) {  // two for each task
    cluster_->PushBlock(9, number, 10 * number - 9, 10 * number, "w0", "w1");
  };
  for (uint64_t number = 1; number <= 8; ++number) push(number);
  ASSERT_TRUE(Decided());
  Relaunch();  // and no worker has anything
  for (uint64_t number = 2; number <= 8; ++number) push(number);
  const auto one_is_lost = [&] {
    return cluster_->core().Status().failure().find("1 received blocks are lost") == 0;
  };
  ASSERT_TRUE(cluster_->RunUntil(one_is_lost, 2000));
  proto::Envelope accept;
  accept.mutable_accept_loss();
  cluster_->Deliver("daemon", accept);
  const auto rebuilt = [&]() -> const proto::GrantedBatch* {
    for (const auto& [executor, batch] : cluster_->granted) {
      if (batch.rebuild() && batch.lacks_blocks()) return &batch;
    }
    return nullptr;
  };
  ASSERT_TRUE(cluster_->RunUntil([&] { return rebuilt() != nullptr; }, 2000));
  EXPECT_EQ(rebuilt()->left_out(0).records_size(), 2);
  uint64_t lost = 0;
  for (const auto& [executor, batch] : cluster_->granted) {
    for (const auto& stage : batch.stages()) {
      for (const auto& task : stage.tasks()) {
        EXPECT_TRUE(task.lost_records().empty() || task.lost_records_size() == task.pieces_size());
        for (const uint64_t records : task.lost_records()) lost += records;
      }
    }
  }
  EXPECT_EQ(lost, 10u);
}

TEST_F(LettersTest, AStoreThatIsFullIsTriedAgainAndADrainWaitsForIt) {
  cluster_->objects_error = "no space";
  PushTen();
  ASSERT_TRUE(Decided());
  cluster_->Feed(StopRequested{false, 600'000'000});
  cluster_->RunUntil([&] { return cluster_->end.has_value(); }, 2000);
  EXPECT_FALSE(cluster_->end.has_value());
  cluster_->objects_error.clear();
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->end.has_value(); }, 4000));
  EXPECT_EQ(cluster_->end->exit_code, 0);
  EXPECT_EQ(KeptInLog(), 1);
}

TEST_F(LettersTest, ARelaunchedDriverPutsTheSameBytesAndCountsThemOnce) {
  cluster_->hold_objects = true;
  PushTen();
  ASSERT_TRUE(cluster_->RunUntil([&] { return !cluster_->puts.empty(); }));
  const KeepAside put = cluster_->puts[0];
  Relaunch();
  ASSERT_TRUE(cluster_->RunUntil([&] { return KeptInLog() > 0; }));
  EXPECT_EQ(cluster_->objects[put.name], put.bytes);
  EXPECT_EQ(state().letters().count(), 2u);
}

TEST_F(LettersTest, ADecidedBatchThatRebuildsStateLeavesOutTheSame) {
  PushTen();
  ASSERT_TRUE(Decided());
  const proto::Decided decided = InLog();
  Relaunch();
  PushTen();  // announced again by its holders
  const auto rebuilt = [&] {
    return std::any_of(cluster_->granted.begin(), cluster_->granted.end(), [&](const auto& g) {
      return g.second.rebuild() && g.second.batch_ms() == decided.batch_ms();
    });
  };
  ASSERT_TRUE(cluster_->RunUntil(rebuilt));
  for (const auto& [to, batch] : cluster_->granted) {
    if (batch.batch_ms() != decided.batch_ms()) continue;
    ASSERT_EQ(batch.left_out_size(), 1);
    EXPECT_EQ(batch.left_out(0).records_size(), 2);
  }
  EXPECT_EQ(state().letters().count(), 2u);
}

TEST_F(LettersTest, MoreThanTheBoundFailTheBatch) {
  Begin(Aside(1));
  PushTen();
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->end.has_value(); }));
  EXPECT_EQ(cluster_->end->exit_code, 1);
  EXPECT_THAT(cluster_->end->message, HasSubstr("2 bad records"));
  EXPECT_TRUE(cluster_->objects.empty());
}

TEST_F(LettersTest, CountsAndWhatWasRunAgainOutliveTheLogsSlots) {
  PushTen();
  ASSERT_TRUE(Decided());
  ASSERT_EQ(Replay(1, Both()).taken(), 2u);
  JobState restored;
  restored.Restore(state().Keep(1));
  EXPECT_EQ(restored.letters().count(), 2u);
  EXPECT_EQ(restored.letters().replayed(), 2u);
  EXPECT_EQ(restored.letters().waiting().size(), state().letters().waiting().size());
  EXPECT_EQ(restored.letters().answer().taken(), 2u);
}

// ---- run again ---------------------------------------------------------------------------------

TEST_F(LettersTest, TheirRecordsAreInputOfTheNextBatchOnce) {
  PushTen();
  ASSERT_TRUE(Decided());
  const auto letters = Both();
  EXPECT_EQ(Replay(1, letters).taken(), 2u);
  ASSERT_TRUE(cluster_->RunUntil([&] { return Inlined() > 0; }));
  cluster_->RunUntil([] { return false; }, 50);
  EXPECT_EQ(Inlined(), 2u);
  EXPECT_EQ(state().records_total(), 12u);
  const proto::ReplayAnswer again = Replay(2, letters);
  EXPECT_EQ(again.taken(), 0u);
  EXPECT_EQ(again.before(), 2u);
  cluster_->RunUntil([] { return false; }, 50);
  EXPECT_EQ(Inlined(), 2u);
  EXPECT_EQ(cluster_->core().Status().replayed_letters(), 2u);
}

TEST_F(LettersTest, ARelaunchedDriverKnowsWhatWasRunAgainAndStillOwesIt) {
  PushTen();
  ASSERT_TRUE(Decided());
  const auto letters = Both();
  ASSERT_EQ(Replay(1, letters).taken(), 2u);
  Relaunch();
  ASSERT_TRUE(cluster_->RunUntil([&] { return Inlined() > 0; }));
  EXPECT_EQ(Replay(2, letters).before(), 2u);
  cluster_->RunUntil([] { return false; }, 50);
  EXPECT_EQ(Inlined(), 2u);
}

// The command ended with 1, with nothing left to be run again, although it was carried out.
TEST_F(LettersTest, ARelaunchedDriverAnswersTheWishThatTheFormerOneTook) {
  PushTen();
  ASSERT_TRUE(Decided());
  const auto letters = Both();
  ASSERT_EQ(Replay(1, letters).taken(), 2u);
  Relaunch();
  EXPECT_EQ(cluster_->core().Status().replay().request(), 1u);
  EXPECT_EQ(Replay(1, letters).taken(), 2u);
}

TEST_F(LettersTest, ThatTheyAreTakenIsSaidWhenItIsDurable) {
  PushTen();
  ASSERT_TRUE(Decided());
  const auto letters = Both();
  cluster_->hold_log = true;
  EXPECT_EQ(Replay(1, letters).request(), 0u);
  EXPECT_EQ(Replay(1, letters).request(), 0u);  // asked again
  cluster_->hold_log = false;
  cluster_->MakeDurable();
  EXPECT_EQ(cluster_->core().Status().replay().taken(), 2u);
}

// What is too large for one message is never sent, and the job waited for its batch for ever.
TEST_F(LettersTest, MoreThanABatchMayCarryIsRefusedUntilTheRestHasRun) {
  PushTen();
  ASSERT_TRUE(Decided());
  const std::vector<proto::Letter> large = Large(Both());
  EXPECT_EQ(Replay(1, {large[0]}).taken(), 1u);
  EXPECT_THAT(Replay(2, {large[1]}).refused(), HasSubstr("try again when they have run"));
  ASSERT_TRUE(cluster_->RunUntil([&] { return Inlined() > 0; }));
  EXPECT_EQ(Replay(3, {large[1]}).taken(), 1u);
}

TEST_F(LettersTest, BatchesThatRunAgainTogetherFitIntoAMessage) {
  PushTen();
  ASSERT_TRUE(Decided());
  uint64_t request = 0;
  for (const proto::Letter& letter : Large(Both())) {
    ASSERT_EQ(Replay(++request, {letter}).taken(), 1u);
    ASSERT_TRUE(cluster_->RunUntil([&] { return Inlined() == request; }));
  }
  ASSERT_TRUE(cluster_->RunUntil([&] { return state().records_total() == 12; }));
  const int64_t decided_ms = state().last_decided_ms();
  cluster_->batch_grants.clear();
  cluster_->Exit(cluster_->grants.back().members(0).executor(), true);
  ASSERT_TRUE(cluster_->RunUntil([&] { return state().last_decided_ms() > decided_ms; }));
  for (const auto& grant : cluster_->batch_grants) EXPECT_LT(grant.ByteSizeLong(), 80u << 20);
}

TEST_F(LettersTest, AKeyThatAFormerReleaseKeptIsRefusedByName) {
  PushTen();
  ASSERT_TRUE(Decided());
  std::vector<proto::Letter> letters = Both();
  letters[0].clear_source_key();
  const proto::ReplayAnswer answer = Replay(1, letters);
  EXPECT_EQ(answer.taken(), 1u);
  EXPECT_THAT(answer.refused(), HasSubstr("-1, which a former release kept"));
  letters[0].set_source_key("push gone");
  EXPECT_THAT(Replay(2, letters).refused(), HasSubstr("push gone"));
}

TEST_F(LettersTest, ALetterOfABatchThatIsNotDecidedIsRefused) {
  PushTen();
  ASSERT_TRUE(Decided());
  proto::Letter future = Both()[0];
  future.set_batch_ms(future.batch_ms() + 1'000'000'000);
  EXPECT_FALSE(Replay(1, {future}).refused().empty());
  EXPECT_EQ(state().letters().replayed(), 0u);
}

// It is looked at when its checkpoint is sealed, and again when what it waits for has come.
TEST(JobStateTest, ADecisionWhoseLettersAreKeptBehindItsCheckpointIsForgotten) {
  JobState state;
  proto::Entry planned, decided, sealed, kept;
  planned.mutable_planned()->mutable_composition()->set_batch_ms(1000);
  decided.mutable_decided()->set_batch_ms(1000);
  *decided.mutable_decided()->add_letters() = LetterOf(3);
  sealed.mutable_sealed()->set_batch_ms(1000);
  kept.mutable_letters_kept()->set_batch_ms(1000);
  for (const proto::Entry& entry : {planned, decided, sealed}) ASSERT_TRUE(state.Apply(entry).ok());
  state.ForgetCovered();
  EXPECT_EQ(state.decided().size(), 1u);
  ASSERT_TRUE(state.Apply(kept).ok());
  state.ForgetCovered();
  EXPECT_TRUE(state.decided().empty());
}

}  // namespace
}  // namespace sluice
