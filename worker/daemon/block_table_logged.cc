// Blocks and the received-data log: into it before they are announced, out of it when no daemon
// has them any more.
#include <algorithm>

#include "common/delta_stream.h"
#include "common/mutations.h"
#include "worker/daemon/block_names.h"
#include "worker/daemon/block_table.h"

namespace sluice {
namespace {

constexpr MonotonicTime kLogBackoffFirstUs = 100'000;
constexpr MonotonicTime kLogBackoffLastUs = 5'000'000;
constexpr int kTellRestored = 10;

}  // namespace

bool BlockTable::Logged(MonotonicTime now, const WorkerJob& job, Block& block,
                        worker::Commands& out) {
  const bool delta = block.info.name().stream() == kDeltaStream;  // decided batches run again
  if (job.received_log.empty() || block.info.in_store() || delta) return true;
  if (kMutationAckBeforeLogged) return true;
  if (!block.logging && now >= block.log_at) {
    block.logging = true;
    out.push_back(worker::LogBlock{KeyOf(block.info.name()), job.received_log});
  }
  return false;
}

void BlockTable::OnBlockLogged(MonotonicTime now, const worker::BlockLogged& event,
                               worker::Commands& out) {
  auto found = blocks_.find(event.block);
  if (found == blocks_.end() || !found->second.logging) return;
  Block& block = found->second;
  block.logging = false;
  if (event.error.empty()) {
    block.info.set_in_store(true);
    Replicate(now, event.block, out);
    return;
  }
  if (block.log_backoff == 0) {
    out.push_back(worker::Say{"block " + BlockText(event.block) + " is not in the received-data "
                              "log yet, and its source waits: " + event.error});
  }
  block.log_backoff =
      std::clamp(block.log_backoff * 2, kLogBackoffFirstUs, kLogBackoffLastUs);
  block.log_at = now + block.log_backoff;
}

void BlockTable::OnRestore(MonotonicTime now, const proto::RestoreBlock& message,
                           worker::Commands& out) {
  const BlockKey key = KeyOf(message.block().name());
  const WorkerJob* job = JobOf(key);
  if (job == nullptr || Ended(key.job_instance)) return;
  const auto found = blocks_.find(key);
  if (found != blocks_.end()) {
    Announce(now, *job, found->second, out);
  } else if (restoring_.insert(key).second) {
    out.push_back(worker::ReadLogged{message.block(), message.store()});
  }
}

void BlockTable::OnLoggedRead(MonotonicTime now, const worker::LoggedRead& event,
                              worker::Commands& out) {
  const BlockKey key = KeyOf(event.info.name());
  const WorkerJob* job = JobOf(key);
  if (restoring_.erase(key) == 0 || job == nullptr) {  // the job has ended meanwhile
    if (event.ok && !blocks_.contains(key)) out.push_back(worker::DropBlock{key});
    return;
  }
  if (!event.ok) {
    Send send{job->driver, {}};
    auto* failed = send.message.mutable_block_not_restored();
    *failed->mutable_name() = event.info.name();
    failed->set_worker_id(config_.worker_id);
    failed->set_gone(event.gone);
    failed->set_error(event.error);
    out.push_back(std::move(send));
    return;
  }
  auto [placed, fresh] = blocks_.try_emplace(key);
  Block& block = placed->second;
  if (fresh) {
    block.info = event.info;
    block.stage = Stage::kLogged;
    block.holders = HeldHere();
  }
  block.tell_again = kTellRestored;
  active_.insert(key);
  Announce(now, *job, block, out);
}

}  // namespace sluice
