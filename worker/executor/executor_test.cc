// Two executors over the in-process network, and a job driver by hand.
#include "worker/executor/executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

#include "checkpoint/memory_object_store.h"
#include "common/event_loop.h"
#include "common/net/local_transport.h"
#include "common/plan/stages.h"
#include "worker/executor/word_graph.h"

namespace sluice {
namespace {

constexpr uint64_t kJob = 5;
constexpr uint32_t kPartitions = 6;

std::string AddressOf(uint32_t executor) { return "executor:" + std::to_string(executor); }

// Keeps what the executors say, for a test to wait for.
class Driver : public Transport::Handler {
 public:
  void OnMessage(const std::string&, proto::Envelope message) override {
    std::lock_guard lock(mutex_);
    inbox_.push_back(std::move(message));
    came_.notify_all();
  }
  void OnPeerDown(const std::string&, bool) override {}

  // Takes the first message that `wanted` accepts.
  template <class Wanted>
  proto::Envelope Await(const Wanted& wanted) {
    std::unique_lock lock(mutex_);
    while (true) {
      const auto it = std::find_if(inbox_.begin(), inbox_.end(), wanted);
      if (it != inbox_.end()) {
        proto::Envelope message = std::move(*it);
        inbox_.erase(it);
        return message;
      }
      came_.wait(lock);
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<proto::Envelope> inbox_;
};

// Keeps whoever reads waiting while it is held.
class HeldObjects : public MemoryObjectStore {
 public:
  absl::StatusOr<std::string> Get(const std::string& name) override {
    {
      std::unique_lock lock(mutex_);
      reads_.push_back(name);
      changed_.notify_all();
      changed_.wait(lock, [&] { return !held_; });
    }
    return MemoryObjectStore::Get(name);
  }
  void Hold(bool held) {
    std::lock_guard lock(mutex_);
    held_ = held;
    if (held) reads_.clear();
    changed_.notify_all();
  }
  void AwaitReads(size_t many) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return reads_.size() >= many; });
  }
  // Since it was held.
  std::vector<std::string> reads() {
    std::lock_guard lock(mutex_);
    return reads_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> reads_;
  bool held_ = false;
};

class ExecutorTest : public testing::Test {
 protected:
  explicit ExecutorTest(uint32_t slots = 2)
      : slots_(slots), codec_(NewPlainStatePartCodec()) {
    driver_link_ = hub_.Open("driver:1", &driver_, &loop_);
    for (uint32_t e = 1; e <= 2; ++e) StartExecutor(e);
  }
  ~ExecutorTest() override {
    for (auto& [e, one] : executors_) one->Stop();
    links_.clear();
    driver_link_.reset();
  }

  void StartExecutor(uint32_t e) {
    ExecutorOptions options;
    options.job_instance = kJob;
    options.epoch = 1;
    options.executor = e;
    options.slots = slots_;
    options.job_driver = "driver:1";
    options.binary_digest = "digest";
    options.build = [](const proto::ExecutorInit&) -> absl::StatusOr<BuiltGraph> {
      return BuiltGraph{std::make_shared<LineageGraph>(WordGraph()), 100};
    };
    options.objects = &objects_;
    options.codec = codec_.get();
    options.outputs = &stager_;
    options.beat_us = 20'000;
    executors_[e] = std::make_unique<Executor>(options);
    links_[e] = hub_.Open(AddressOf(e), executors_[e].get(), &loop_);
    executors_[e]->Start(links_[e].get());

    driver_.Await([&](const proto::Envelope& m) {
      return m.has_executor_hello() && m.executor_hello().executor() == e;
    });
    proto::Envelope init;
    init.mutable_executor_init()->set_binary_digest("digest");
    init.mutable_executor_init()->set_graph_fingerprint(WordGraph().Fingerprint());
    init.mutable_executor_init()->set_partitions(kPartitions);
    init.mutable_executor_init()->set_key_groups(1024);
    (*init.mutable_executor_init()->mutable_conf())["task_max_failures"] = "2";
    (*init.mutable_executor_init()->mutable_conf())["straggler_copies"] = "on";
    driver_link_->Send(AddressOf(e), init);
    const auto ready = driver_.Await([&](const proto::Envelope& m) {
      return m.has_executor_ready() && m.executor_ready().executor() == e;
    });
    EXPECT_EQ(ready.executor_ready().refused(), "");
  }

  void Grant(uint64_t generation, int64_t manifest_ms = 0) {
    SendGrant(generation, manifest_ms);
    AwaitGrantDone();
  }
  void SendGrant(uint64_t generation, int64_t manifest_ms) {
    generation_ = generation;
    previous_ms_ = manifest_ms;
    proto::Envelope message;
    auto& grant = *message.mutable_grant();
    grant.mutable_generation()->set_epoch(1);
    grant.mutable_generation()->set_number(generation);
    grant.set_job_instance(kJob);
    grant.set_manifest_batch_ms(manifest_ms);
    for (const auto& [key, parts] : chains_) {
      auto& chain = *grant.add_chains();
      chain.set_operator_name("counts");
      chain.set_partition(key);
      for (const std::string& part : parts) chain.add_parts(part);
    }
    for (uint32_t e = 1; e <= 2; ++e) {
      auto& member = *grant.add_members();
      member.set_executor(e);
      member.set_address(AddressOf(e));
      member.set_slots(slots_);
    }
    for (uint32_t e = 1; e <= 2; ++e) driver_link_->Send(AddressOf(e), message);
  }
  void AwaitGrantDone() {
    for (uint32_t e = 1; e <= 2; ++e) {
      const auto done = driver_.Await([&](const proto::Envelope& m) {
        return m.has_grant_done() && m.grant_done().executor() == e &&
               m.grant_done().generation().number() == generation_;
      });
      EXPECT_EQ(done.grant_done().error(), "");
    }
  }

  // Each executor has one map task with these words.
  void Batch(int64_t batch_ms, const std::vector<std::string>& words, int64_t decided_ms,
             bool checkpoint = false) {
    for (uint32_t e = 1; e <= 2; ++e) {
      proto::Envelope message = Inform(decided_ms);
      auto& batch = *message.mutable_batch_grant()->add_batches();
      batch.set_batch_ms(batch_ms);
      batch.set_previous_ms(previous_ms_);
      batch.set_checkpoint(checkpoint);
      auto& stage = *batch.add_stages();
      stage.set_total_tasks(2);
      auto& task = *stage.add_tasks();
      task.set_task(e - 1);
      auto& inlined = *task.add_pieces()->mutable_inlined();
      inlined.set_batch(EncodedWords(words));
      inlined.set_records(words.size());
      driver_link_->Send(AddressOf(e), message);
    }
    previous_ms_ = batch_ms;
  }
  proto::Envelope Inform(int64_t decided_ms, int64_t sealed_ms = 0) const {
    proto::Envelope message;
    auto& grant = *message.mutable_batch_grant();
    grant.mutable_generation()->set_epoch(1);
    grant.mutable_generation()->set_number(generation_);
    grant.set_decided_ms(decided_ms);
    grant.set_sealed_ms(sealed_ms);
    return message;
  }
  proto::BatchReport Report(uint32_t e, int64_t batch_ms) {
    return driver_
        .Await([&](const proto::Envelope& m) {
          return m.has_batch_report() && m.batch_report().executor() == e &&
                 m.batch_report().batch_ms() == batch_ms &&
                 m.batch_report().generation().number() == generation_;
        })
        .batch_report();
  }
  // All that was printed, sorted; counts have to balance.
  std::vector<std::string> Printed(int64_t batch_ms) {
    std::vector<std::string> rows;
    uint64_t pushed = 0, folded = 0;
    for (uint32_t e = 1; e <= 2; ++e) {
      const proto::BatchReport report = Report(e, batch_ms);
      EXPECT_FALSE(report.has_failure()) << report.failure().ShortDebugString();
      for (const auto& edge : report.edges()) {
        pushed += edge.pushed();
        folded += edge.folded();
      }
      for (const auto& output : report.outputs()) {
        rows.insert(rows.end(), output.printed().begin(), output.printed().end());
      }
    }
    EXPECT_EQ(pushed, folded);
    std::sort(rows.begin(), rows.end());
    return rows;
  }
  void TakeCheckpoint(int64_t batch_ms) {
    for (uint32_t e = 1; e <= 2; ++e) {
      const auto part = driver_.Await([&](const proto::Envelope& m) {
        return m.has_checkpoint_part() && m.checkpoint_part().executor() == e &&
               m.checkpoint_part().batch_ms() == batch_ms;
      });
      EXPECT_EQ(part.checkpoint_part().error(), "");
      for (const auto& piece : part.checkpoint_part().pieces()) {
        auto& chain = chains_[piece.partition()];
        if (piece.whole()) chain.clear();
        chain.push_back(piece.part());
      }
    }
    for (uint32_t e = 1; e <= 2; ++e) driver_link_->Send(AddressOf(e), Inform(batch_ms, batch_ms));
  }

  const uint32_t slots_;
  EventLoop loop_;
  LocalHub hub_;
  Driver driver_;
  std::unique_ptr<Transport> driver_link_;
  HeldObjects objects_;
  std::unique_ptr<StatePartCodec> codec_;
  PosixOutputStager stager_;
  std::map<uint32_t, std::unique_ptr<Executor>> executors_;
  std::map<uint32_t, std::unique_ptr<Transport>> links_;
  std::map<uint32_t, std::vector<std::string>> chains_;
  uint64_t generation_ = 0;
  int64_t previous_ms_ = 0;
};

TEST_F(ExecutorTest, CountsOverBatches) {
  Grant(1);
  for (int64_t t = 100; t <= 2000; t += 100) {
    Batch(t, {"a", "b", "a"}, t - 100);
    const std::string n = std::to_string(t / 100 * 2);
    const std::string twice = std::to_string(t / 100 * 4);
    ASSERT_EQ(Printed(t), (std::vector<std::string>{"a " + twice, "b " + n}));
  }
}

TEST_F(ExecutorTest, BatchesInFlightKeepTheirOrder) {
  Grant(1);
  for (int64_t t = 100; t <= 3000; t += 100) Batch(t, {"x", "y", "z"}, 0);
  for (int64_t t = 100; t <= 3000; t += 100) {
    const std::string n = std::to_string(t / 100 * 2);
    ASSERT_EQ(Printed(t), (std::vector<std::string>{"x " + n, "y " + n, "z " + n}));
  }
}

TEST_F(ExecutorTest, ANewGenerationGoesOnFromTheCheckpoint) {
  Grant(1);
  Batch(100, {"a", "b"}, 0, true);
  Printed(100);
  for (uint32_t e = 1; e <= 2; ++e) driver_link_->Send(AddressOf(e), Inform(100));
  TakeCheckpoint(100);
  Batch(200, {"a", "c"}, 100, true);
  Printed(200);
  for (uint32_t e = 1; e <= 2; ++e) driver_link_->Send(AddressOf(e), Inform(200));
  TakeCheckpoint(200);
  Batch(300, {"lost"}, 200);
  Printed(300);

  Grant(2, 200);
  Batch(300, {"d"}, 200);
  EXPECT_EQ(Printed(300), (std::vector<std::string>{"a 4", "b 2", "c 2", "d 2"}));
}

// Each load ran to its end before the next one began.
TEST_F(ExecutorTest, LoadsForGenerationsThatAreOverAreGivenUp) {
  Grant(1);
  Batch(100, {"a", "b", "c", "d", "e", "f"}, 0, true);
  Printed(100);
  for (uint32_t e = 1; e <= 2; ++e) driver_link_->Send(AddressOf(e), Inform(100));
  TakeCheckpoint(100);
  const auto checkpoint = chains_;
  objects_.Hold(true);
  SendGrant(2, 100);
  objects_.AwaitReads(2);  // one of each executor
  for (auto& [partition, parts] : chains_) parts = {"of-an-abandoned-load"};
  SendGrant(3, 100);
  chains_ = checkpoint;
  SendGrant(4, 100);
  for (uint32_t e = 1; e <= 2; ++e) {  // who says so in generation 4 has heard of it
    loop_.PostNow([this, e] { executors_[e]->OnPeerDown(AddressOf(3 - e), true); });
    driver_.Await([&](const proto::Envelope& m) {
      return m.has_suspect_peer() && m.suspect_peer().executor() == e &&
             m.suspect_peer().generation().number() == 4;
    });
  }
  objects_.Hold(false);
  AwaitGrantDone();
  for (const std::string& name : objects_.reads()) EXPECT_NE(name, "of-an-abandoned-load");
  Batch(200, {"a"}, 100);
  EXPECT_EQ(Printed(200), (std::vector<std::string>{"a 4", "b 2", "c 2", "d 2", "e 2", "f 2"}));
}

class OneSlotTest : public ExecutorTest {
 protected:
  OneSlotTest() : ExecutorTest(1) {}
  // When executor 2 says that it waits for 1, it runs its task, too.
  void CopyWhenLate(int64_t batch_ms, const std::vector<std::string>& words) {
    const proto::StageLate late =
        driver_.Await([&](const proto::Envelope& m) {
                 return m.has_stage_late() && m.stage_late().batch_ms() == batch_ms;
               })
            .stage_late();
    EXPECT_EQ(late.executor(), 2u);
    ASSERT_EQ(late.missing_size(), 1);
    EXPECT_EQ(late.missing(0), 1u);
    proto::Envelope message = Inform(0);
    auto& copy = *message.mutable_batch_grant()->add_copies();
    copy.set_batch_ms(batch_ms);
    copy.set_owner(1);
    auto& inlined = *copy.mutable_task()->add_pieces()->mutable_inlined();
    inlined.set_batch(EncodedWords(words));
    inlined.set_records(words.size());
    driver_link_->Send(AddressOf(2), message);
  }
};

// By order of events: the slot is held until all three batches are reported.
TEST_F(OneSlotTest, BatchesEndWhileTheirStuckTasksHoldTheOnlySlot) {
  Grant(1);
  const std::vector<std::string> words{"a", kGateWord};
  for (int64_t t = 100; t <= 300; t += 100) {
    Batch(t, words, t - 100);
    CopyWhenLate(t, words);
    const std::string n = std::to_string(t / 100 * 2);
    ASSERT_EQ(Printed(t), (std::vector<std::string>{"a " + n, "gate " + n}));
  }
  TheWordGate().Open(3);  // each throws, for nobody
  Batch(400, {"a"}, 300);
  EXPECT_EQ(Printed(400), (std::vector<std::string>{"a 8", "gate 6"}));
}

TEST_F(ExecutorTest, AnExceptionIsReportedWithItsOperator) {
  Grant(1);
  Batch(100, {"fine", kBadWord}, 0);
  const proto::BatchReport report = Report(1, 100);
  EXPECT_EQ(report.failure().cause(), "a bad word");
  EXPECT_EQ(report.failure().operator_name(), "Check, Count");
  EXPECT_EQ(report.failure().source(), "records of the plan");
}

}  // namespace
}  // namespace sluice
