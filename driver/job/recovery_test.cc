// Which checkpoint a job driver goes on from when the newest one cannot be used.
#include "driver/job/recovery.h"

#include <gtest/gtest.h>

#include "checkpoint/errors.h"
#include "checkpoint/memory_log_store.h"
#include "checkpoint/memory_object_store.h"
#include "checkpoint/state_part.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr int64_t kFirst = 2000, kSecond = 4000;  // batches of the two checkpoints

// A job that decided batches 1000 to 5000, one received block in each, with two checkpoints.
class RecoveryTest : public testing::Test {
 protected:
  void Run(bool in_store) {
    std::unique_ptr<DriverLog> log = OpenLog();
    JobState state;
    proto::Entry begun;
    begun.mutable_job_begun()->set_job_instance(7);
    Append(*log, state, begun);
    for (int64_t batch_ms = 1000; batch_ms <= 5000; batch_ms += 1000) {
      proto::Entry added;
      auto& block = *added.mutable_block_added()->mutable_block();
      block.mutable_name()->set_number(static_cast<uint64_t>(batch_ms / 1000));
      block.set_records(1);
      block.set_in_store(in_store);
      Append(*log, state, added);
      proto::Entry planned;
      auto& composition = *planned.mutable_planned()->mutable_composition();
      composition.set_batch_ms(batch_ms);
      *composition.add_sources()->add_tasks()->add_pieces()->mutable_block() = block;
      Append(*log, state, planned);
      proto::Entry decided;
      decided.mutable_decided()->set_batch_ms(batch_ms);
      const LogPosition position = Append(*log, state, decided);
      if (batch_ms == kFirst || batch_ms == kSecond) Seal(*log, state, batch_ms, position);
    }
  }
  LogPosition Append(DriverLog& log, JobState& state, const proto::Entry& entry) {
    EXPECT_TRUE(state.Apply(entry).ok());
    return *log.Append({entry.SerializeAsString()});
  }
  void Seal(DriverLog& log, JobState& state, int64_t batch_ms, const LogPosition& position) {
    Manifest manifest;
    manifest.sequence = static_cast<uint64_t>(batch_ms / 1000);
    manifest.job_instance = 7;
    manifest.batch_ms = batch_ms;
    manifest.decided = position;
    manifest.driver_payload = state.Keep(position.slot + 1).SerializeAsString();
    EXPECT_TRUE(checkpoints_.PutManifest(manifest).ok());
    proto::Entry sealed;
    sealed.mutable_sealed()->set_batch_ms(batch_ms);
    sealed.mutable_sealed()->set_manifest(ManifestName(manifest.sequence));
    Append(log, state, sealed);
  }
  std::unique_ptr<DriverLog> OpenLog() {
    LogOpenOptions options;
    options.nonce = ++nonce_;
    return *DriverLog::Open(&log_, [] { return int64_t{0}; }, options);
  }
  absl::StatusOr<OpenedJob> Open() {
    return OpenJob(&log_, &checkpoints_, /*known=*/true, ++nonce_, [] { return int64_t{0}; });
  }
  static std::string NameOfSecond() { return ManifestName(kSecond / 1000); }
  static std::string NameOfFirst() { return ManifestName(kFirst / 1000); }
  void ExpectFallsBack() {
    const auto opened = Open();
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(opened->job.manifest_ms, kFirst);
    EXPECT_EQ(opened->job.state.sealed_ms(), kFirst);
    EXPECT_EQ(opened->job.state.last_decided_ms(), 5000);
    EXPECT_EQ(opened->job.state.planned().count(3000), 1u);  // to be run again
    EXPECT_GT(opened->next_manifest, static_cast<uint64_t>(kFirst / 1000));
  }
  void ExpectDamaged(const std::string& says) {
    const auto opened = Open();
    EXPECT_TRUE(IsDamaged(opened.status())) << opened.status();
    EXPECT_NE(Message(opened.status()).find(says), std::string::npos) << opened.status();
  }

  MemoryLogStore log_;
  MemoryObjectStore objects_;
  std::unique_ptr<StatePartCodec> codec_ = NewPlainStatePartCodec();
  CheckpointStore checkpoints_{&objects_, codec_.get()};
  uint64_t nonce_ = 0;
};

TEST_F(RecoveryTest, TheNewestIsTakenWhenNothingIsWrong) {
  Run(/*in_store=*/false);
  const auto opened = Open();
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->job.manifest_ms, kSecond);
  EXPECT_EQ(opened->job.state.sealed_ms(), kSecond);
}

TEST_F(RecoveryTest, TheOneBeforeADamagedOneIsTakenWhenItsInputIsInTheReceivedLog) {
  Run(/*in_store=*/true);
  ASSERT_TRUE(objects_.FlipBit(NameOfSecond(), 99));
  ExpectFallsBack();
  ExpectFallsBack();  // and again after another crash
}

TEST_F(RecoveryTest, TheOneBeforeIsNotTakenWhenInputIsGone) {
  Run(/*in_store=*/false);
  ASSERT_TRUE(objects_.FlipBit(NameOfSecond(), 99));
  ExpectDamaged("input of batch 3000 is gone");
  ExpectDamaged(NameOfSecond());
}

// Batches between it and the one before were forgotten, and their changes with them, in silence.
// Its batches were run with the other program's graph.
TEST_F(RecoveryTest, TheOneBeforeIsNotTakenWhenAnotherProgramMadeIt) {
  Run(/*in_store=*/true);
  {
    std::unique_ptr<DriverLog> log = OpenLog();
    proto::Entry seen;
    seen.mutable_program_seen()->set_graph_fingerprint(5);
    ASSERT_TRUE(log->Append({seen.SerializeAsString()}).ok());
  }
  ASSERT_TRUE(objects_.FlipBit(NameOfSecond(), 99));
  ExpectDamaged("is of another program");
}

// The batches behind it went by other constants.
TEST_F(RecoveryTest, TheOneBeforeIsNotTakenWhenAConstantWasAnotherOne) {
  Run(/*in_store=*/true);
  {
    std::unique_ptr<DriverLog> log = OpenLog();
    proto::Entry seen;
    (*seen.mutable_program_seen()->mutable_constants())["limit"] = "7";
    ASSERT_TRUE(log->Append({seen.SerializeAsString()}).ok());
  }
  ASSERT_TRUE(objects_.FlipBit(NameOfSecond(), 99));
  ExpectDamaged("is of another program");
}

TEST_F(RecoveryTest, AManifestThatIsMissingIsNoticedByTheLog) {
  Run(/*in_store=*/true);
  ASSERT_TRUE(objects_.Delete(NameOfSecond()).ok());
  ExpectFallsBack();
}

TEST_F(RecoveryTest, ACheckpointThatWasSetAsideIsPassedOver) {
  Run(/*in_store=*/true);
  ASSERT_TRUE(objects_.PutIfAbsent(SetAsideName(NameOfSecond()), "a part is damaged\n").ok());
  ExpectFallsBack();
}

TEST_F(RecoveryTest, WithoutAWholeOneTheJobIsRefusedAndNeverBegunAnew) {
  Run(/*in_store=*/true);
  ASSERT_TRUE(objects_.FlipBit(NameOfFirst(), 99));
  ASSERT_TRUE(objects_.FlipBit(NameOfSecond(), 99));
  ExpectDamaged(NameOfSecond());
  ASSERT_TRUE(objects_.Delete(NameOfFirst()).ok());
  ASSERT_TRUE(objects_.Delete(NameOfSecond()).ok());
  ExpectDamaged("the checkpoint of batch 4000 is missing, and there is none before it");
}

TEST_F(RecoveryTest, AStoreThatIsAwayIsNoDamage) {
  Run(/*in_store=*/true);
  objects_.SetFaults({.fail_gets = 1});
  const auto opened = Open();
  EXPECT_FALSE(opened.ok());
  EXPECT_FALSE(IsDamaged(opened.status())) << opened.status();
}

}  // namespace
}  // namespace sluice
