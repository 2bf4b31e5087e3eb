// The rules of the log as tables: each test drives one or two cores by hand over a memory store.
#include "checkpoint/log_core.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/driver_log.h"
#include "checkpoint/errors.h"
#include "checkpoint/memory_log_store.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr int64_t kMinute = 60'000'000;

class LogCoreTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<DriverLog>> Open(LogOpenOptions options = {}) {
    options.nonce = ++nonce_;
    return DriverLog::Open(store_.get(), [this] { return now_us_; }, options);
  }
  std::unique_ptr<DriverLog> MustOpen(const LogOpenOptions& options = {}) {
    auto log = Open(options);
    EXPECT_TRUE(log.ok()) << log.status();
    return log.ok() ? *std::move(log) : nullptr;
  }
  // The payloads that a new driver would find.
  std::vector<std::string> Replay() {
    std::vector<std::string> payloads;
    if (auto log = MustOpen()) {
      for (ReplayedEntry& entry : log->TakeReplayed()) payloads.push_back(entry.payload);
    }
    return payloads;
  }
  // A log with slots 1 (opened), 2 (a, b) and 3 (c).
  void WriteThreeSlots() {
    auto log = MustOpen();
    ASSERT_TRUE(log->Append({"a", "b"}).ok());
    ASSERT_TRUE(log->Append({"c"}).ok());
  }

  void Clear() { store_ = std::make_unique<MemoryLogStore>(); }

  std::unique_ptr<MemoryLogStore> store_ = std::make_unique<MemoryLogStore>();
  int64_t now_us_ = 0;
  uint64_t nonce_ = 0;
};

using Payloads = std::vector<std::string>;

TEST_F(LogCoreTest, AFreshLogOpensEpochOneInSlotOne) {
  auto log = MustOpen();
  EXPECT_EQ(log->epoch(), 1u);
  EXPECT_EQ(log->last().slot, 1u);
  EXPECT_TRUE(log->TakeReplayed().empty());
}

TEST_F(LogCoreTest, ANewDriverReadsWhatWasAppended) {
  WriteThreeSlots();
  auto log = MustOpen();
  EXPECT_EQ(log->epoch(), 2u);
  const std::vector<ReplayedEntry> entries = log->TakeReplayed();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].payload, "a");
  EXPECT_EQ(entries[1].position.slot, 2u);
  EXPECT_EQ(entries[2].position.slot, 3u);
  EXPECT_EQ(entries[2].epoch, 1u);
  EXPECT_TRUE(log->Agrees(entries[2].position));
  EXPECT_FALSE(log->Agrees({3, entries[2].position.checksum ^ 1}));
  EXPECT_FALSE(log->Agrees({9, 0}));
}

TEST_F(LogCoreTest, TheOlderDriverIsFencedAtItsNextAppend) {
  auto old_log = MustOpen();
  ASSERT_TRUE(old_log->Append({"a"}).ok());
  auto new_log = MustOpen();
  EXPECT_TRUE(IsFenced(old_log->Append({"lost"}).status()));
  EXPECT_EQ(ExitCodeOf(old_log->Append({"lost"}).status()), kExitFenced);
  ASSERT_TRUE(new_log->Append({"b"}).ok());
  EXPECT_EQ(Replay(), (Payloads{"a", "b"}));
}

TEST_F(LogCoreTest, APutThatTookEffectWithoutAnAnswerIsFoundAgain) {
  auto log = MustOpen();
  store_->SetFaults({.unknown_puts = 1});
  EXPECT_TRUE(absl::IsUnavailable(log->Append({"a"}).status()));
  EXPECT_FALSE(log->Append({"b"}).ok());  // not before the first is known
  const auto position = log->Retry();
  ASSERT_TRUE(position.ok()) << position.status();
  EXPECT_EQ(position->slot, 2u);
  ASSERT_TRUE(log->Append({"b"}).ok());
  EXPECT_EQ(Replay(), (Payloads{"a", "b"}));
}

// It tried again, and a store that had dropped what it could not write said that all was well.
TEST_F(LogCoreTest, AWriteThatFailedForGoodEndsTheLogOfThisDriverOnly) {
  LogCore core({.nonce = 1});
  core.Step(0, LogStart{});
  core.Step(0, LogReadDone{});
  core.Step(0, LogPutDone{1, absl::OkStatus()});
  core.Step(0, LogAppend{7, {"a"}});
  const auto commands = core.Step(0, LogPutDone{2, StartAgainError("the sync failed")});
  ASSERT_EQ(commands.size(), 1u);
  ASSERT_TRUE(std::holds_alternative<LogStopped>(commands[0]));
  EXPECT_EQ(ExitCodeOf(std::get<LogStopped>(commands[0]).status), kExitStartAgain);
  EXPECT_TRUE(core.stopped());
  EXPECT_TRUE(core.Step(0, LogRetry{}).empty());
  EXPECT_TRUE(core.Step(0, LogAppend{8, {"b"}}).empty());
}

TEST_F(LogCoreTest, AFullDiskStopsAppendsAndSpaceLetsThemGoOn) {
  auto log = MustOpen();
  store_->SetFaults({.full = true});
  EXPECT_TRUE(absl::IsResourceExhausted(log->Append({"a"}).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(log->Retry().status()));
  store_->SetFaults({});
  EXPECT_TRUE(log->Retry().ok());
  EXPECT_EQ(Replay(), (Payloads{"a"}));
}

TEST_F(LogCoreTest, ATornTailBehindTheWitnessIsCut) {
  WriteThreeSlots();
  const std::string record = *store_->Get(3);
  for (size_t bytes = 0; bytes < record.size(); bytes += 5) {
    auto log = MustOpen();
    const uint64_t next = log->last().slot + 1;
    log.reset();
    store_->Tear(next, record, bytes);
    EXPECT_EQ(Replay(), (Payloads{"a", "b", "c"})) << bytes;
  }
}

TEST_F(LogCoreTest, EveryFlippedBitIsFoundAndNothingStartsAfresh) {
  for (uint64_t slot = 1; slot <= 3; ++slot) {
    for (size_t bit = 0;; ++bit) {
      Clear();
      WriteThreeSlots();
      if (!store_->FlipBit(slot, bit)) break;
      const auto log = Open();
      ASSERT_TRUE(IsDamaged(log.status())) << "slot " << slot << ", bit " << bit;
      EXPECT_NE(log.status().message().find("slot " + std::to_string(slot)), std::string::npos);
    }
  }
}

TEST_F(LogCoreTest, EveryLostSlotIsFound) {
  for (uint64_t slot = 1; slot <= 3; ++slot) {
    Clear();
    WriteThreeSlots();
    store_->Lose(slot);
    EXPECT_TRUE(IsDamaged(Open().status())) << slot;
  }
}

TEST_F(LogCoreTest, ALostLogOfAKnownJobIsDamage) {
  EXPECT_TRUE(IsDamaged(Open({.known_job = true}).status()));
  EXPECT_TRUE(IsDamaged(Open({.durable_slot = 4}).status()));
  EXPECT_TRUE(IsDamaged(Open({.first_slot = 7}).status()));
  EXPECT_TRUE(Open().ok());
}

TEST_F(LogCoreTest, ALogShorterThanAnyWitnessIsDamage) {
  WriteThreeSlots();
  EXPECT_TRUE(IsDamaged(Open({.durable_slot = 4}).status()));
  auto log = MustOpen();
  EXPECT_TRUE(log->CheckWitness(4, "worker w1").ok());
  EXPECT_TRUE(IsDamaged(log->CheckWitness(5, "worker w1")));
}

TEST_F(LogCoreTest, AMissingWitnessIsDamage) {
  WriteThreeSlots();
  store_->LoseWitness();
  EXPECT_TRUE(IsDamaged(Open().status()));
}

TEST_F(LogCoreTest, ADiskThatForgetsWhatItSyncedIsFoundByAnOutsideWitness) {
  auto log = MustOpen();
  ASSERT_TRUE(log->Append({"a"}).ok());
  store_->SetFaults({.forget_unsynced = true});
  const auto position = log->Append({"b"});
  ASSERT_TRUE(position.ok());
  store_->Crash();
  EXPECT_TRUE(IsDamaged(Open({.durable_slot = position->slot}).status()));
}

TEST_F(LogCoreTest, ACrashBetweenRecordAndWitnessLosesNothing) {
  WriteThreeSlots();
  {
    auto log = MustOpen();
    store_->SetFaults({.silent_witness = 1});
    EXPECT_FALSE(log->Append({"d"}).ok());
  }
  EXPECT_EQ(Replay(), (Payloads{"a", "b", "c", "d"}));
}

TEST_F(LogCoreTest, CollectedSlotsAreNotMissed) {
  auto log = MustOpen();
  for (const char* entry : {"a", "b", "c"}) ASSERT_TRUE(log->Append({entry}).ok());
  EXPECT_FALSE(log->DeleteBelow(5).ok());
  ASSERT_TRUE(log->DeleteBelow(3).ok());
  auto next = MustOpen({.first_slot = 3});
  EXPECT_EQ(next->epoch(), 2u);
  EXPECT_EQ(next->TakeReplayed().size(), 2u);
  EXPECT_TRUE(IsDamaged(Open({.first_slot = 2}).status()));
}

TEST_F(LogCoreTest, AVoidRecordIsPartOfTheChainButNotReplayed) {
  auto old_log = MustOpen();
  auto new_log = MustOpen();
  const LogRecord late = {.slot = 3, .epoch = 1, .predecessor = new_log->last().checksum,
                          .entries = {"void"}};
  ASSERT_TRUE(store_->PutIfAbsent(3, EncodeLogRecord(late)).ok());
  ASSERT_TRUE(new_log->Append({"live"}).ok());
  EXPECT_EQ(new_log->last().slot, 4u);
  EXPECT_EQ(Replay(), (Payloads{"live"}));
}

TEST_F(LogCoreTest, ADriverThatSleptLooksBeforeItAppends) {
  auto old_log = MustOpen();
  ASSERT_TRUE(old_log->Append({"a"}).ok());
  auto new_log = MustOpen();
  ASSERT_TRUE(new_log->Append({"b"}).ok());
  ASSERT_TRUE(new_log->DeleteBelow(4).ok());  // the old driver's next slot is free again
  now_us_ += 20 * kMinute;
  EXPECT_TRUE(IsFenced(old_log->Append({"stray"}).status()));
  EXPECT_FALSE(store_->Get(3).ok());
}

TEST_F(LogCoreTest, ADriverThatSleptAloneGoesOn) {
  auto log = MustOpen();
  now_us_ += 20 * kMinute;
  ASSERT_TRUE(log->Append({"a"}).ok());
  EXPECT_EQ(Replay(), (Payloads{"a"}));
}

// A core whose store commands are carried out by hand.
class Hand {
 public:
  Hand(MemoryLogStore* store, uint64_t nonce)
      : core_([nonce] {
          LogOpenOptions options;
          options.nonce = nonce;
          return options;
        }()),
        store_(store) {}
  void Step(int64_t now, const LogEvent& event) {
    for (LogCommand& command : core_.Step(now, event)) {
      if (auto* stopped = std::get_if<LogStopped>(&command)) end_ = stopped->status;
      last_ = std::move(command);
    }
  }
  void Read(int64_t now, uint64_t from) {
    LogReadDone done;
    done.witness = *store_->DurableLength();
    EXPECT_TRUE(store_->ReadAll(from, [&done](uint64_t slot, std::string_view bytes) {
      done.slots.emplace_back(slot, bytes);
      return absl::OkStatus();
    }).ok());
    Step(now, done);
  }
  void Put(int64_t now) {
    const LogPut put = std::get<LogPut>(last_);
    Step(now, LogPutDone{put.slot, store_->PutIfAbsent(put.slot, put.bytes)});
  }

  LogCore core_;
  MemoryLogStore* store_;
  LogCommand last_;
  absl::Status end_;
};

TEST_F(LogCoreTest, APutThatWasLongOnItsWayIsCheckedAfterwards) {
  Hand old_driver(store_.get(), 100);
  old_driver.Step(0, LogStart{});
  old_driver.Read(0, 1);
  old_driver.Put(0);
  old_driver.Step(0, LogAppend{1, {"stray"}});  // the put of slot 2 is now on its way
  auto new_log = MustOpen();
  ASSERT_TRUE(new_log->Append({"b"}).ok());
  ASSERT_TRUE(new_log->DeleteBelow(3).ok());
  old_driver.Put(20 * kMinute);  // finds slot 2 free
  ASSERT_TRUE(std::holds_alternative<LogRead>(old_driver.last_));
  old_driver.Read(20 * kMinute, std::get<LogRead>(old_driver.last_).from);
  EXPECT_TRUE(IsFenced(old_driver.end_));
}

TEST_F(LogCoreTest, AnAnswerThatWasLongOnItsWayTellsOfTheLogAsItWas) {
  Hand old_driver(store_.get(), 100);
  old_driver.Step(0, LogStart{});
  const LogReadDone empty;  // what was there when it asked
  auto new_log = MustOpen();
  ASSERT_TRUE(new_log->Append({"b"}).ok());
  ASSERT_TRUE(new_log->DeleteBelow(2).ok());
  old_driver.Step(20 * kMinute, empty);
  old_driver.Put(20 * kMinute);  // finds slot 1 free
  ASSERT_TRUE(std::holds_alternative<LogRead>(old_driver.last_));
  old_driver.Read(20 * kMinute, std::get<LogRead>(old_driver.last_).from);
  EXPECT_FALSE(old_driver.end_.ok());
}

TEST_F(LogCoreTest, AppendsThatWaitGoTogether) {
  Hand driver(store_.get(), 100);
  driver.Step(0, LogStart{});
  for (uint64_t id = 1; id <= 3; ++id) driver.Step(0, LogAppend{id, {std::to_string(id)}});
  driver.Read(0, 1);
  driver.Put(0);  // epoch opened; slot 2 with all three follows
  EXPECT_EQ(std::get<LogPut>(driver.last_).slot, 2u);
  driver.Put(0);
  EXPECT_EQ(std::get<LogAppended>(driver.last_).ids, (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(Replay(), (Payloads{"1", "2", "3"}));
}

}  // namespace
}  // namespace sluice
