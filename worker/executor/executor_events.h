// Events into and commands out of the executor's core. The shell (executor.cc) and the simulator
// carry the commands out and tell how they went. Shares are opaque here.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/net/send.h"
#include "common/plan/stages.h"
#include "proto/cluster.pb.h"

namespace sluice {

struct GenerationId {
  uint64_t epoch = 0;
  uint64_t number = 0;
  auto operator<=>(const GenerationId&) const = default;
};
inline GenerationId IdOf(const proto::Generation& generation) {
  return {generation.epoch(), generation.number()};
}

// ---- what tasks leave behind -----------------------------------------------------------------

// What one task has for one partition of one edge; a large share is several of them, in order.
struct OutShare {
  EdgeId edge = 0;
  uint32_t partition = 0;
  uint64_t records = 0;
  std::string batch;  // encoded
};
struct TaskResult {
  uint32_t task = 0;
  uint64_t records_read = 0;  // of blocks, files and inlined batches; of letters
  uint64_t bytes_read = 0;    // of file ranges
  std::vector<OutShare> shares;
  std::vector<std::pair<EdgeId, uint64_t>> folded;  // records, by edge
  std::vector<proto::OutputPart> outputs;
  std::vector<proto::StateDigest> states;
  std::optional<proto::LeftOut> left_out;  // nothing was; or it is decided already
  std::vector<proto::Letter> letters;      // of that
  std::string delta;  // the entries that it changed, as a piece (state_delta.h); empty: none
};
struct FailedTask {
  uint32_t task = 0;
  bool own_fault = true;  // false: its input could not be had; that is no attempt
  proto::TaskFailure failure;
};

// ---- events ----------------------------------------------------------------------------------

struct GrantIn { proto::Grant grant; };
// Answers DropAllAndLoad. Damage is told to the job driver; after another error, of a store that is
// out of reach, say, it is tried again.
struct StateLoaded {
  GenerationId generation;
  std::string error;
  bool damaged = false;
  bool delta_lost = false;  // the job driver is told that, too
};
// The daemon has the executor's delta of this number; another one may be on its way to it.
struct DeltaSealed { uint64_t number = 0; };
struct BatchGrantIn { proto::BatchGrant grant; };
struct BundleIn { std::shared_ptr<const proto::ShareBundle> bundle; };
// Answers RunTasks: every task of it has a result, a failure, or was left.
struct TasksEnded {
  GenerationId generation;
  int64_t batch_ms = 0;
  StageId stage = 0;
  std::vector<TaskResult> results;
  std::vector<FailedTask> failed;
  std::vector<uint32_t> left = {};  // by LeaveTask
  bool copy = false;                // as in the command
};
// Answers SnapshotAndWrite.
struct PartWritten {
  GenerationId generation;
  int64_t batch_ms = 0;
  std::string error;  // not empty: nothing counts as written
  std::vector<proto::CheckpointPart::Piece> pieces;
  uint64_t bytes = 0;
};
// The link to `address` broke; what was on its way may be lost.
struct LinkLost {
  std::string address;
  bool down = true;  // false: it was opened again at once
};
struct WakeUp {};  // a time that WakeAt named has come, or any other

using ExecutorEvent = std::variant<GrantIn, StateLoaded, BatchGrantIn, BundleIn, TasksEnded,
                                   PartWritten, DeltaSealed, LinkLost, WakeUp>;

// ---- commands --------------------------------------------------------------------------------

// A part of a bundle, to another executor. Shared, as it may have to be sent again.
struct SendBundle {
  std::string to;
  std::shared_ptr<const proto::ShareBundle> bundle;
};
// Drops all state, layers and results of running tasks, and loads what the grant names for the
// partitions that `executor` owns under it.
struct DropAllAndLoad {
  GenerationId generation;
  proto::Grant grant;
  bool keep_state = false;  // never, but for a deliberate fault
};
struct TaskWork {
  uint32_t task = 0;     // map task or partition
  uint32_t attempt = 0;  // 0, 1, …: failures so far
  const proto::GrantedBatch::Task* input = nullptr;          // of a source stage
  std::vector<const proto::ShareBundle::Share*> shares;      // of others, in (edge, task) order
};
// Runs all tasks, in any order and side by side.
struct RunTasks {
  GenerationId generation;
  int64_t batch_ms = 0;
  std::shared_ptr<const Presence> presence;  // what there is at this batch
  StageId stage = 0;
  bool rebuild = false;  // state only
  std::shared_ptr<const proto::GrantedBatch> batch;
  std::vector<TaskWork> tasks;
  // Keeps alive what the shares point into.
  std::vector<std::shared_ptr<const proto::ShareBundle>> bundles;
  bool copy = false;  // its one task is another executor's
};
// Nobody needs the result of this running or waiting task any more: if it has not ended yet, its
// slot is free for others now, and whatever becomes of it is nobody's concern.
struct LeaveTask {
  GenerationId generation;
  int64_t batch_ms = 0;
  StageId stage = 0;
  uint32_t task = 0;
  bool copy = false;
};
// The layers of the batches up to this one become part of the base.
struct MergeLayers { int64_t batch_ms = 0; };
// Writes the changes of the base since the last sealed checkpoint, as they are right now: a later
// MergeLayers must not show in it.
struct SnapshotAndWrite {
  GenerationId generation;
  int64_t batch_ms = 0;
};
struct ForgetSealed { int64_t batch_ms = 0; };    // the changes that this checkpoint has
struct RestorePending { int64_t batch_ms = 0; };  // these changes are still to be written
// Has the daemon seal a block of these pieces, the next of the executor's own. Sent again until
// DeltaSealed; numbers come in order.
struct SealDelta {
  proto::BlockName name;
  std::shared_ptr<const std::vector<std::string>> pieces;
  std::vector<uint32_t> partitions;  // of the pieces, as runs (partition_runs.h)
};
struct WakeAt { MonotonicTime time = 0; };        // replaces an earlier one

using ExecutorCommand = std::variant<Send, SendBundle, DropAllAndLoad, RunTasks, LeaveTask,
                                     MergeLayers, SnapshotAndWrite, ForgetSealed, RestorePending,
                                     SealDelta, WakeAt>;

}  // namespace sluice
