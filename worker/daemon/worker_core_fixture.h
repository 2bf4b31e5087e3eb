// A worker core under test, the events that its neighbours cause, and its commands as words.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "worker/daemon/block_names.h"
#include "worker/daemon/worker_core.h"

namespace sluice {
namespace core_test {

inline constexpr uint64_t kJob = 7;
inline constexpr uint64_t kIncarnation = 70;
inline constexpr MonotonicTime kMs = 1000;

inline BlockKey Key(uint64_t number) {
  return {.job_instance = kJob, .incarnation = kIncarnation, .number = number, .stream = 1};
}

// A worker "w1" on host "h1" and what it does. Peers answer only when the test says so.
class WorkerCoreTest : public testing::Test {
 protected:
  WorkerCoreTest()
      : core_({.worker_id = "w1",
               .incarnation = 11,
               .address = "w1:1",
               .host = "h1",
               .slots = 2,
               .driver_address = "driver:1",
               .ended_jobs_kept_us = 5'000 * kMs}) {}

  void Step(worker::Event event) {
    for (auto& command : core_.Step(now_, std::move(event))) done_.push_back(std::move(command));
  }
  void After(int64_t ms) {
    for (int64_t passed = 0; passed < ms; passed += 20) {
      now_ += 20 * kMs;
      Step(worker::Tick{});
    }
  }
  void Receive(const std::string& from, const std::function<void(proto::Envelope&)>& fill) {
    worker::Received event{from, {}};
    fill(event.message);
    Step(std::move(event));
  }
  struct Peer {
    std::string id, host;
    uint64_t incarnation = 1;
    bool draining = false;
  };
  void Session(uint64_t epoch, const std::vector<Peer>& peers, uint32_t replication = 2,
               uint32_t replication_min = 1, uint64_t number = 0) {
    Receive("jd:" + std::to_string(epoch), [&](proto::Envelope& e) {
      auto* session = e.mutable_job_session();
      session->set_job("wc");
      session->set_job_instance(kJob);
      session->set_epoch(epoch);
      session->set_number(number);
      session->set_lease_ms(1000);
      session->set_address("jd:" + std::to_string(epoch));
      session->set_replication(replication);
      session->set_replication_min(replication_min);
      session->set_received_log(received_log_);
      for (const Peer& peer : peers) {
        auto* member = session->mutable_members()->add_workers();
        member->set_worker_id(peer.id);
        member->set_address(peer.id + ":1");
        member->set_host(peer.host);
        member->set_incarnation(peer.incarnation);
        member->set_draining(peer.draining);
      }
    });
  }
  void StartExecutor(uint32_t id, const std::string& role, uint64_t epoch = 1) {
    Receive("jd:" + std::to_string(epoch), [&](proto::Envelope& e) {
      auto* start = e.mutable_start_executor();
      start->set_job_instance(kJob);
      start->set_epoch(epoch);
      start->set_executor(id);
      start->set_role(role);
      start->set_binary_digest("d");
      for (const auto& [name, digest] : files_) {
        auto* file = start->add_files();
        file->set_name(name);
        file->set_digest(digest);
      }
      start->set_job("wc");
      if (role == "receivers") {
        start->add_streams(1);
        start->add_incarnations(kIncarnation);
      }
    });
  }
  void RunExecutor(uint32_t id, const std::string& role, uint64_t epoch = 1) {
    StartExecutor(id, role, epoch);
    Step(worker::BinaryReady{"d", "/bin/d", ""});
    Step(worker::ProcessStarted{{kJob, epoch, id}, 100 + id, ""});
    Receive("ex:" + std::to_string(id), [&](proto::Envelope& e) {
      auto* attach = e.mutable_executor_attach();
      attach->set_job_instance(kJob);
      attach->set_epoch(epoch);
      attach->set_executor(id);
      attach->set_link_address("ex:" + std::to_string(id));
    });
  }
  void Beat(uint32_t id) {
    Receive("ex:" + std::to_string(id), [](proto::Envelope& e) { e.mutable_executor_beat(); });
  }
  // “stream/incarnation: records” of each receiver in the last beat to the job driver.
  std::vector<std::string> ToldOfReceivers() {
    done_.clear();
    After(200);
    std::vector<std::string> told;
    for (const auto& command : done_) {
      const auto* send = std::get_if<Send>(&command);
      if (send == nullptr || !send->message.has_lease_beat()) continue;
      told.clear();
      for (const auto& receiver : send->message.lease_beat().taken()) {
        told.push_back(std::to_string(receiver.stream()) + "/" +
                       std::to_string(receiver.incarnation()) + ": " +
                       std::to_string(receiver.records()));
      }
    }
    return told;
  }
  // The job driver asks receivers to seal at a batch.
  void SealTick() {
    Receive("jd:1", [](proto::Envelope& e) {
      e.mutable_seal_tick()->set_job_instance(kJob);
      e.mutable_seal_tick()->set_batch_ms(1000);
    });
  }
  // Executor 1 seals blocks [first, last]; the store takes them.
  void Seal(uint64_t first, uint64_t last, bool reliable = false) {
    Receive("ex:1", [&](proto::Envelope& e) {
      for (uint64_t n = first; n <= last; ++n) {
        auto* slice = e.mutable_seal_slices()->add_slices();
        *slice->mutable_block()->mutable_name() = NameOf(Key(n));
        slice->mutable_block()->set_reliable(reliable);
        slice->set_arena_offset(n * 100);
      }
    });
    StoreAll();
  }
  void StoreAll() {
    for (size_t i = 0; i < done_.size(); ++i) {
      if (auto* store = std::get_if<worker::StoreSlice>(&done_[i])) {
        proto::BlockInfo info = store->slice.block();
        done_.erase(done_.begin() + i);
        Step(worker::SliceStored{info, true, false, "", ""});
        i = -1;
      }
    }
  }
  // Its file is not what was written.
  void FindDamaged(uint64_t number) {
    Step(worker::CopyUnreadable{Key(number), "damaged", /*damaged=*/true});
  }
  // Peers say this unasked, too.
  void Copied(const std::string& peer, uint64_t number, bool ok = true, uint64_t incarnation = 1) {
    Receive(peer + ":1", [&](proto::Envelope& e) {
      auto* copied = e.mutable_block_copied();
      *copied->mutable_name() = NameOf(Key(number));
      copied->set_ok(ok);
      copied->set_worker_id(peer);
      copied->set_incarnation(incarnation);
    });
  }
  // The job driver asks for one more copy, on `peer`.
  void Replicate(uint64_t number, const std::string& peer, uint64_t incarnation,
                 uint64_t epoch = 1) {
    Receive("jd:" + std::to_string(epoch), [&](proto::Envelope& e) {
      auto& replicate = *e.mutable_replicate_block();
      *replicate.mutable_name() = NameOf(Key(number));
      replicate.set_target_worker(peer);
      replicate.set_target_address(peer + ":1");
      replicate.set_target_incarnation(incarnation);
      replicate.set_epoch(epoch);
    });
  }
  void Verdict(uint64_t number, bool accepted = true, uint64_t epoch = 1) {
    Receive("jd:" + std::to_string(epoch), [&](proto::Envelope& e) {
      *e.mutable_block_verdict()->mutable_name() = NameOf(Key(number));
      e.mutable_block_verdict()->set_accepted(accepted);
    });
  }
  // What was done since the last look, as words.
  std::vector<std::string> Done() {
    std::vector<std::string> words;
    for (const auto& command : std::exchange(done_, {})) {
      if (std::string word = Word(command); !word.empty()) words.push_back(word);
    }
    return words;
  }
  static std::string Word(const worker::Command& command) {
    if (const auto* copy = std::get_if<worker::SendCopy>(&command)) {
      return "copy " + std::to_string(copy->info.name().number()) + " to " + copy->to;
    }
    if (const auto* log = std::get_if<worker::LogBlock>(&command)) {
      return "log " + std::to_string(log->block.number);
    }
    if (const auto* read = std::get_if<worker::ReadLogged>(&command)) {
      return "read " + std::to_string(read->info.name().number()) + " from " + read->store;
    }
    if (const auto* drop = std::get_if<worker::DropBlock>(&command)) {
      return "drop " + std::to_string(drop->block.number);
    }
    if (const auto* end = std::get_if<worker::EndProcess>(&command)) {
      return (end->at_once ? "kill " : "end ") + std::to_string(end->executor.executor);
    }
    if (const auto* start = std::get_if<worker::StartProcess>(&command)) {
      return "start " + std::to_string(start->request.executor());
    }
    if (const auto* forget = std::get_if<worker::ForgetExecutor>(&command)) {
      return "forget " + std::to_string(forget->executor.executor);
    }
    if (const auto* store = std::get_if<worker::StoreSlice>(&command)) {
      return "store " + std::to_string(store->slice.block().name().number());
    }
    if (const auto* exit = std::get_if<worker::Exit>(&command)) {
      return "exit " + std::to_string(exit->code);
    }
    if (std::holds_alternative<worker::FetchBinary>(command)) return "fetch";
    if (std::holds_alternative<worker::DropJob>(command)) return "drop job";
    if (const auto* send = std::get_if<Send>(&command)) return Word(*send);
    return "";
  }
  static std::string Word(const Send& send) {
    const proto::Envelope& e = send.message;
    const std::string to = " to " + send.to;
    if (e.has_block_announce()) {
      std::string holders;
      for (const auto& holder : e.block_announce().holders()) holders += " " + holder;
      const auto& block = e.block_announce().block();
      return "announce " + std::to_string(block.name().number()) +
             (block.in_store() ? " in store" : "") + holders + to;
    }
    if (e.has_sealed_slices() && e.sealed_slices().arena_offsets_size() > 0) {
      return "sealed " + std::to_string(e.sealed_slices().arena_offsets(0) / 100);
    }
    if (e.has_sealed_slices()) return "refused: " + e.sealed_slices().reason();
    if (e.has_block_verdict()) return "verdict" + to;
    if (e.has_seal_done()) return "seal done" + to;
    if (e.has_seal_tick()) return "seal tick" + to;
    if (e.has_receiver_rates()) return "receiver rates" + to;
    if (e.has_release_blocks()) return "release" + to;
    if (e.has_executor_exited()) return "exited: " + e.executor_exited().cause();
    if (e.has_worker_inventory()) {
      return "inventory of " + std::to_string(e.worker_inventory().blocks_size()) + " epoch " +
             std::to_string(e.worker_inventory().epoch()) + to;
    }
    if (e.has_block_not_restored()) {
      return (e.block_not_restored().gone() ? "gone" : "not restored") + to;
    }
    if (e.has_block_copied()) return e.block_copied().ok() ? "copied" + to : "not copied" + to;
    return "";
  }
  using Words = std::vector<std::string>;

  const std::vector<Peer> kThree = {{"w1", "h1"}, {"w2", "h1"}, {"w3", "h3"}};
  const std::vector<Peer> kFirstDrains = {{"w1", "h1", 1, true}, {"w2", "h1"}, {"w3", "h3"}};
  const std::vector<Peer> kTwoDrain = {{"w1", "h1", 1, true}, {"w2", "h1"}, {"w3", "h3", 1, true}};
  std::string received_log_;  // of sessions from now on
  std::map<std::string, std::string> files_;  // name to digest, of executors from now on
  WorkerCore core_;
  MonotonicTime now_ = 1'000'000'000;
  worker::Commands done_;
};

}  // namespace core_test
}  // namespace sluice
