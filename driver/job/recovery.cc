#include "driver/job/recovery.h"

#include <algorithm>
#include <optional>

#include "checkpoint/errors.h"
#include "common/kill_point.h"
#include "common/status.h"
#include "glog/logging.h"

namespace sluice {
namespace {

absl::Status Restore(const Manifest& manifest, RecoveredJob& job, uint64_t& replay_from) {
  proto::DriverState kept;
  if (!kept.ParseFromString(manifest.driver_payload)) {
    return DamagedError(ManifestName(manifest.sequence) + ": the driver's part cannot be read");
  }
  job.state.Restore(kept);
  replay_from = kept.first_live_slot();
  job.manifest_ms = manifest.batch_ms;
  job.manifest_branch = kept.branch();
  job.manifest = ManifestName(manifest.sequence);
  job.checkpoint_program = kept.program();
  for (const StateChain& chain : manifest.chains) {
    job.chains[{chain.operator_name, chain.partition}] = chain.parts;
  }
  return absl::OkStatus();
}

// Not damage when it cannot be told: the manifest may be one that is not used.
void NoteBinary(const Manifest& manifest, RecoveredJob& job) {
  proto::DriverState kept;
  if (!kept.ParseFromString(manifest.driver_payload)) return;
  if (!kept.program().binary_digest().empty()) job.binaries.insert(kept.program().binary_digest());
}

absl::Status Replay(const std::vector<ReplayedEntry>& entries, uint64_t from, JobState& state) {
  for (const ReplayedEntry& replayed : entries) {
    if (replayed.position.slot < from) continue;
    proto::Entry entry;
    if (!entry.ParseFromString(replayed.payload)) {
      return DamagedError("driver log: slot " + std::to_string(replayed.position.slot) +
                          " holds an entry that cannot be read");
    }
    const absl::Status applied = state.Apply(entry);
    if (!applied.ok()) {
      return DamagedError("driver log: slot " + std::to_string(replayed.position.slot) + ": " +
                          std::string(applied.message()));
    }
    if (entry.has_decided()) state.SetPosition(entry.decided().batch_ms(), replayed.position);
  }
  return absl::OkStatus();
}

// Of all that were put, those that can be read and were not set aside, oldest first; and what is
// wrong with the others.
struct Checkpoints {
  std::vector<Manifest> whole;
  std::vector<std::string> damaged;
};

absl::StatusOr<Checkpoints> ReadCheckpoints(CheckpointStore* checkpoints, OpenedJob& opened) {
  ASSIGN_OR_RETURN(const std::vector<CheckpointInfo> listed, checkpoints->List());
  Checkpoints found;
  for (const CheckpointInfo& info : listed) {
    opened.next_manifest = info.sequence + 1;
    if (info.set_aside) {
      found.damaged.push_back(info.name + " was set aside");
      continue;
    }
    absl::StatusOr<Manifest> manifest = checkpoints->ReadManifest(info.name);
    if (!manifest.ok() && !IsDamaged(manifest.status())) return manifest.status();
    if (manifest.ok()) {
      NoteBinary(*manifest, opened.job);
      found.whole.push_back(*std::move(manifest));
    } else {
      found.damaged.emplace_back(Message(manifest.status()));
    }
  }
  if (found.whole.empty() && !found.damaged.empty()) return DamagedError(found.damaged.back());
  return found;
}

bool SameConstants(const proto::ProgramSeen& one, const proto::ProgramSeen& other) {
  const auto& others = other.constants();
  return one.constants().size() == others.size() &&
         std::all_of(one.constants().begin(), one.constants().end(), [&](const auto& constant) {
           const auto same = others.find(constant.first);
           return same != others.end() && same->second == constant.second;
         });
}

// The log knows of a newer checkpoint than the one the job is restored from: what came between is
// run again, if all of its input is there.
absl::Status FallBack(const Checkpoints& found, RecoveredJob& job) {
  JobState& state = job.state;
  if (state.sealed_ms() <= job.manifest_ms) return absl::OkStatus();
  const std::string lost = found.damaged.empty() ? "the checkpoint of batch " +
                                                       std::to_string(state.sealed_ms()) +
                                                       " is missing"
                                                 : found.damaged.back();
  if (job.manifest_ms == 0) return DamagedError(lost + ", and there is none before it");
  if (job.checkpoint_program.graph_fingerprint() != state.program().graph_fingerprint() ||
      !SameConstants(job.checkpoint_program, state.program())) {
    return DamagedError(lost + "; " + job.manifest + " before it is of another program, which "
                        "alone could run again what came between");
  }
  if (job.manifest_ms < state.reshaped_ms()) {
    return DamagedError(lost + "; " + job.manifest + " before it cannot be used: the batches "
                        "behind it ran in another number of partitions, or under another interval");
  }
  for (const auto& [key, block] : state.blocks()) {
    const bool released = block.batch_ms != 0 && block.batch_ms <= state.sealed_ms();
    if (!released || block.batch_ms <= job.manifest_ms || block.lost) continue;
    const auto batch = state.planned().find(block.batch_ms);
    if (batch != state.planned().end() && batch->second.empty()) continue;  // skipped
    if (block.info.in_store()) continue;
    return DamagedError(lost + "; " + job.manifest + " before it cannot be used, because input "
                        "of batch " + std::to_string(block.batch_ms) + " is gone: " +
                        ToString(key));
  }
  LOG(ERROR) << lost << "; the job goes on from " << job.manifest << ", and batches from "
             << job.manifest_ms << " on are run again";
  state.FallBackTo(job.manifest_ms, job.manifest);
  job.fell_back = true;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OpenedJob> OpenJob(LogStore* log_store, CheckpointStore* checkpoints, bool known,
                                  uint64_t nonce, DriverLog::Now now) {
  OpenedJob opened;
  ASSIGN_OR_RETURN(Checkpoints found, ReadCheckpoints(checkpoints, opened));
  Pass(KillPoint::kCheckpointsRead);
  std::vector<Manifest>& manifests = found.whole;
  LogOpenOptions options;
  options.nonce = nonce;
  options.known_job = known || !manifests.empty();
  if (!manifests.empty()) {
    options.first_slot = manifests.front().decided.slot;
    options.durable_slot = manifests.back().decided.slot;
  }
  opened.first_slot = options.first_slot;
  ASSIGN_OR_RETURN(opened.log, DriverLog::Open(log_store, std::move(now), options));
  Pass(KillPoint::kLogOpened);
  uint64_t replay_from = options.first_slot;
  while (!manifests.empty()) {
    const Manifest& newest = manifests.back();
    if (opened.log->Agrees(newest.decided)) {
      RETURN_IF_ERROR(Restore(newest, opened.job, replay_from));
      break;
    }
    LOG(ERROR) << ManifestName(newest.sequence) << " is ignored: the log holds another record in "
               << "slot " << newest.decided.slot;
    manifests.pop_back();
  }
  if (manifests.empty() && opened.first_slot > 1) {
    return DamagedError("no checkpoint agrees with the driver log");
  }
  RETURN_IF_ERROR(Replay(opened.log->TakeReplayed(), replay_from, opened.job.state));
  RETURN_IF_ERROR(FallBack(found, opened.job));
  const std::string& former = opened.job.state.program().binary_digest();
  if (!former.empty()) opened.job.binaries.insert(former);
  opened.job.epoch = opened.log->epoch();
  opened.job.next_slot = opened.log->last().slot + 1;
  return opened;
}

}  // namespace sluice
