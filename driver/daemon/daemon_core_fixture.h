// The driver daemon's core under a test's hand.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "driver/daemon/daemon_core.h"

namespace sluice::daemon {

inline constexpr MonotonicTime kSecond = 1'000'000;

// A driver daemon under a test's hand: verbs of the domain, and what the last step commanded.
class DaemonTest : public testing::Test {
 protected:
  void Begin(const proto::JobTable& table = {}, const std::string& host = "",
             const Leadership& leadership = {}) {
    core_ = std::make_unique<DaemonCore>(times_, now_, table, host, leadership);
  }
  const std::vector<Command>& Do(const Event& event) {
    last_ = core_->Step(now_, event);
    const std::vector<Persist> persists = Last<Persist>();
    if (persists.empty()) return last_;
    if (!disk_full_) disk_ = persists.back().table;
    const Event news = disk_full_ ? Event(NotSaved{}) : Event(Saved{});
    for (Command& command : core_->Step(now_, news)) last_.push_back(std::move(command));
    return last_;
  }
  // Lets time pass in ticks of 100 ms; gathers all commands.
  void Pass(MonotonicTime us) {
    std::vector<Command> all;
    for (MonotonicTime end = now_ + us; now_ < end;) {
      now_ += 100'000;
      for (const Command& command : Do(Tick{})) all.push_back(command);
    }
    last_ = std::move(all);
  }
  template <class T>
  std::vector<T> Last() const {
    std::vector<T> found;
    for (const Command& command : last_) {
      if (auto* c = std::get_if<T>(&command)) found.push_back(*c);
    }
    return found;
  }
  int Answered() const {
    auto answers = Last<Answer>();
    return answers.size() == 1 ? answers[0].outcome.exit_code() : -1;
  }
  void Submit(const std::string& name, std::map<std::string, std::string> conf = {}) {
    SubmitJob event{1, {}, "run", 0};
    event.spec.set_name(name);
    event.spec.set_fresh(true);
    for (const auto& [key, value] : conf) (*event.spec.mutable_conf())[key] = value;
    Do(event);
  }
  void StartUp(const std::string& name, int64_t pid, uint64_t instance = 7) {
    Do(DriverStarted{name, pid, 77});
    Register(name, pid, 1, instance);
  }
  void Register(const std::string& name, int64_t pid, uint64_t epoch = 1, uint64_t instance = 7) {
    proto::Envelope message;
    auto* driver = message.mutable_job_driver_register();
    driver->set_job(name);
    driver->set_pid(pid);
    driver->set_epoch(epoch);
    driver->set_job_instance(instance);
    if (settings_.has_value()) *driver->mutable_settings() = *settings_;
    Do(Received{"driver:" + std::to_string(pid), message});
  }
  void Status(const std::string& name, int64_t pid, const std::string& state,
              uint64_t decided = 0) {
    proto::Envelope message;
    message.mutable_job_status()->set_job(name);
    message.mutable_job_status()->set_state(state);
    message.mutable_job_status()->set_epoch(1);
    message.mutable_job_status()->set_decided_batches(decided);
    Do(Received{"driver:" + std::to_string(pid), message});
  }
  void Exit(const std::string& name, int64_t pid, int code) {
    Do(DriverExited{name, pid, code, 0, "last words"});
  }
  void Kill(const std::string& name, int64_t pid) {
    Do(DriverExited{name, pid, std::nullopt, 9, ""});
  }
  void WorkerUp(const std::string& id, uint32_t slots = 2, uint64_t incarnation = 1) {
    proto::Envelope message;
    message.mutable_worker_register()->set_worker_id(id);
    message.mutable_worker_register()->set_incarnation(incarnation);
    message.mutable_worker_register()->set_address(id + ":1");
    message.mutable_worker_register()->set_slots(slots);
    Do(Received{id + ":1", message});
  }
  void Beat(const std::string& id, uint64_t incarnation = 1) {
    proto::Envelope message;
    message.mutable_worker_heartbeat()->set_worker_id(id);
    message.mutable_worker_heartbeat()->set_incarnation(incarnation);
    Do(Received{id + ":1", message});
  }
  // Workers in the last ClusterMembers sent to the driver, or -1 when none was sent.
  int MembersTold(int64_t pid) const {
    int told = -1;
    for (const Send& send : Last<Send>()) {
      if (send.to == "driver:" + std::to_string(pid) && send.message.has_cluster_members()) {
        told = send.message.cluster_members().workers_size();
      }
    }
    return told;
  }
  // Those of them that drain.
  std::set<std::string> DrainingTold(int64_t pid) const {
    std::set<std::string> draining;
    for (const Send& send : Last<Send>()) {
      const bool to_it = send.to == "driver:" + std::to_string(pid);
      if (!to_it || !send.message.has_cluster_members()) continue;
      draining.clear();
      for (const auto& member : send.message.cluster_members().workers()) {
        if (member.draining()) draining.insert(member.worker_id());
      }
    }
    return draining;
  }
  std::string State(const std::string& name) const { return core_->Job(name)->status().state(); }

  JobTimes times_;
  MonotonicTime now_ = 100 * kSecond;
  std::unique_ptr<DaemonCore> core_;
  std::vector<Command> last_;
  proto::JobTable disk_;
  bool disk_full_ = false;
  std::optional<proto::JobSettings> settings_;  // of job drivers that register
};

}  // namespace sluice::daemon
