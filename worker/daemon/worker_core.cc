// The core's turn: time, processes, peers and draining. Messages are in worker_core_messages.cc.
#include "worker/daemon/worker_core.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace sluice {
namespace {

// A tick that is still waited for is given up when this many newer ones wait as well.
constexpr size_t kSealsMax = 1024;

}  // namespace

WorkerCore::WorkerCore(WorkerConfig config)
    : config_(std::move(config)),
      driver_(config_),
      blocks_(config_, jobs_),
      executors_(config_, jobs_) {}

worker::Commands WorkerCore::Step(MonotonicTime now, worker::Event event) {
  worker::Commands out;
  std::visit([&](auto& e) { On(now, e, out); }, event);
  SettleSeals(out);
  ForgetDeadReceivers(out);
  for (worker::Command& command : out) {
    if (auto* fetch = std::get_if<worker::FetchBinary>(&command)) fetch->driver = driver_.address();
    if (auto* start = std::get_if<worker::StartProcess>(&command)) {
      start->driver = driver_.address();
    }
  }
  return out;
}

void WorkerCore::RenewIfSlept(MonotonicTime now) {
  int64_t lease = driver_.lease_us();
  for (const auto& [instance, job] : jobs_) lease = std::min(lease, job.lease_us);
  if (last_tick_ != 0 && now - last_tick_ > lease / 2) {
    executors_.RenewAll(now);
    driver_.Renew(now);
    for (auto& [instance, job] : jobs_) job.heard = now;
  }
  last_tick_ = now;
}

void WorkerCore::On(MonotonicTime now, worker::Tick& event, worker::Commands& out) {
  if (exited_) return;  // its last word is said, and nothing may come behind it
  blocks_bytes_ = event.blocks_bytes;
  RenewIfSlept(now);
  proto::WorkerHeartbeat beat;
  beat.set_blocks_bytes(blocks_bytes_);
  beat.set_under_replicated_blocks(blocks_.UnderReplicated());
  if (drain_deadline_ != 0) beat.set_drain("draining");
  for (const auto& [instance, job] : jobs_) {
    if (!job.silent) continue;
    beat.add_silent_jobs(instance);
    if (now - job.heard > config_.ended_jobs_kept_us) beat.add_left_jobs(instance);
  }
  executors_.AppendStatus(&beat);
  driver_.Tick(now, beat, out);
  executors_.Tick(now, out);
  blocks_.Tick(now, out);
  TickJobs(now, out);
  if (drain_deadline_ != 0) TickDrain(now, out);
}

void WorkerCore::TickJobs(MonotonicTime now, worker::Commands& out) {
  for (auto& [instance, job] : jobs_) {
    if (job.epoch == 0) continue;
    if (now >= job.next_beat) {
      job.next_beat = now + job.lease_us / 10;
      SendBeat(now, job, job.driver, out);
    }
    if (now - job.heard > job.lease_us) NoteSilent(job, out);
  }
}

void WorkerCore::NoteSilent(WorkerJob& job, worker::Commands& out) {
  if (std::exchange(job.silent, true)) return;
  out.push_back(worker::Say{"job driver is silent; blocks and receivers go on: " + job.name});
}

void WorkerCore::On(MonotonicTime now, worker::PeerDown& event, worker::Commands& out) {
  if (event.address == driver_.address()) driver_.OnDown(now, out);
  for (auto& [instance, job] : jobs_) {  // refused: its process has ended
    if (event.refused && job.epoch != 0 && job.driver == event.address) NoteSilent(job, out);
  }
  blocks_.OnPeerDown(now, event.address, event.refused, out);
}

void WorkerCore::On(MonotonicTime, worker::PeerDenied& event, worker::Commands& out) {
  if (event.address == driver_.address()) driver_.OnDenied(event.why, out);
}

void WorkerCore::On(MonotonicTime now, worker::LinkReset& event, worker::Commands& out) {
  blocks_.OnLinkReset(now, event.address, out);
}

void WorkerCore::On(MonotonicTime now, worker::SliceStored& event, worker::Commands& out) {
  blocks_.OnSliceStored(now, std::move(event), out);
}

void WorkerCore::On(MonotonicTime, worker::CopyStored& event, worker::Commands& out) {
  blocks_.OnCopyStored(event, out);
}

void WorkerCore::On(MonotonicTime now, worker::CopyUnreadable& event, worker::Commands& out) {
  blocks_.OnCopyUnreadable(now, event, out);
}

void WorkerCore::On(MonotonicTime now, worker::BlockLogged& event, worker::Commands& out) {
  blocks_.OnBlockLogged(now, event, out);
}

void WorkerCore::On(MonotonicTime now, worker::LoggedRead& event, worker::Commands& out) {
  blocks_.OnLoggedRead(now, event, out);
}

void WorkerCore::On(MonotonicTime now, worker::BinaryReady& event, worker::Commands& out) {
  executors_.OnBinary(now, event, out);
}

void WorkerCore::On(MonotonicTime now, worker::ProcessStarted& event, worker::Commands& out) {
  executors_.OnProcessStarted(now, event, out);
}

void WorkerCore::On(MonotonicTime now, worker::ProcessReaped& event, worker::Commands& out) {
  const ExecutorTable::Executor* executor = executors_.Find(event.executor);
  const bool receives = executor != nullptr && executor->receives();
  executors_.OnReaped(now, event, out);
  if (!receives || blocks_.Ended(event.executor.job_instance)) {
    for (auto& [tick, wait] : seals_) wait.executors.erase(event.executor);
    if (executor != nullptr) blocks_.OnReceiverDead(now, event.executor, {}, out);  // its deltas
    out.push_back(worker::ForgetExecutor{event.executor});
    return;
  }
  blocks_.OnReceiverDead(now, event.executor, event.left, out);
  for (auto& [tick, wait] : seals_) {
    if (wait.executors.erase(event.executor) == 0) continue;
    wait.blocks.merge(blocks_.Unannounced(event.executor));
  }
  dead_receivers_.insert(event.executor);
}

void WorkerCore::ForgetDeadReceivers(worker::Commands& out) {
  std::erase_if(dead_receivers_, [&](const ExecutorKey& key) {
    if (blocks_.Storing(key)) return false;
    out.push_back(worker::ForgetExecutor{key});
    return true;
  });
}

void WorkerCore::SettleSeals(worker::Commands& out) {
  for (const BlockKey& key : blocks_.TakeSettled()) {
    for (auto it = seals_.lower_bound({key.job_instance, INT64_MIN});
         it != seals_.end() && it->first.first == key.job_instance; ++it) {
      it->second.blocks.erase(key);
    }
  }
  for (auto it = seals_.begin(); it != seals_.end();) {
    const auto& [job_instance, batch_ms] = it->first;
    auto job = jobs_.find(job_instance);
    const bool done = it->second.executors.empty() && it->second.blocks.empty();
    if (done && job != jobs_.end()) {
      Send send{job->second.driver, {}};
      auto* message = send.message.mutable_seal_done();
      message->set_job_instance(job_instance);
      message->set_batch_ms(batch_ms);
      message->set_worker_id(config_.worker_id);
      out.push_back(std::move(send));
    }
    it = done || job == jobs_.end() ? seals_.erase(it) : std::next(it);
  }
  while (seals_.size() > kSealsMax) seals_.erase(seals_.begin());
}

void WorkerCore::On(MonotonicTime now, worker::DrainRequested& event, worker::Commands& out) {
  const MonotonicTime deadline = std::max<MonotonicTime>(event.deadline, 1);
  if (drain_deadline_ != 0) {
    drain_deadline_ = std::min(drain_deadline_, deadline);
    return;
  }
  drain_deadline_ = deadline;
  driver_.Hurry();  // the members are to hear of it
  out.push_back(worker::Say{"draining: intake stops, blocks are handed to peers"});
  // Receivers seal what they have before they end.
  for (const auto& [instance, job] : jobs_) {
    for (const ExecutorKey& key : executors_.Receivers(instance)) {
      executors_.Stop(now, key, "its worker is draining", /*at_once=*/false, out);
    }
  }
}

void WorkerCore::TickDrain(MonotonicTime now, worker::Commands& out) {
  if (exited_) return;
  const bool late = now >= drain_deadline_;
  bool receivers = !dead_receivers_.empty();
  for (const auto& [key, executor] : executors_.all()) receivers |= executor.receives();
  if (!late && receivers) return;
  const bool handed = blocks_.HandOver(now, out);
  if (!late && !handed) return;
  if (!drain_executors_ended_) {
    drain_executors_ended_ = true;
    executors_.StopAll(now, std::nullopt, "its worker is draining", late, out);
  }
  if (!late && !executors_.all().empty()) return;
  exited_ = true;
  std::string line = "drained";
  if (!handed || !executors_.all().empty()) {
    line = "the drain deadline has passed";
    const uint64_t sole = blocks_.SoleCopies();
    if (sole != 0) line += "; blocks that no other worker holds: " + std::to_string(sole);
  }
  const bool drained = line == "drained";
  proto::WorkerHeartbeat last;
  last.set_drain(drained ? "drained" : "forced");
  last.set_blocks_bytes(blocks_bytes_);
  driver_.SayNow(last, out);
  out.push_back(worker::Exit{drained ? 0 : 5, line});
}

}  // namespace sluice
