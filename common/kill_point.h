// Places where a process may end and leave files in a state of their own: between a write and its
// sync, a rename and the entry in the log. tests/crash ends a job's process at each of them.
//
// Only a test sets the hook: kill_point_arming.h, which no program that is installed can link, or a
// test's own code. No flag, variable or message of the product does. Unset, a place costs one load.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

enum class KillPoint : uint8_t {
  // Driver log.
  kAppendBegun,       // a record is about to be put
  kAppendSynced,      // it is durable; the witness of the log's length is not yet raised
  kWitnessWritten,    // the witness is written and not synced
  kSlotsForgotten,    // a collection is logged; no slot is deleted
  // What was durable in the log and nobody had been told.
  kPlanLogged,
  kDecidedLogged,
  kPublishedLogged,
  kSealedLogged,
  // Outputs.
  kPartWritten,       // a part is synced under a name aside
  kPartStaged,        // it has its name, whose directory is not synced
  kOutputComplete,    // _SUCCESS is there, the directory is not renamed
  kOutputRenamed,     // renamed, the parent is not synced
  kOutputPublished,   // synced; that it is published is not logged
  // Received blocks, where the job has a received-data log.
  kReceivedBegun,     // a block is sealed in memory, and about to be written to the store
  kReceivedStored,    // it is there; the job driver has not heard of it
  kReceivedLogged,    // that it was added is durable in the log; its receiver has not heard
  kReceivedRestored,  // read back from the store after a crash, with no batch that has read it
  kReceivedCollected, // deleted, others of the same collection are not
  // Objects: parts of state, received blocks, manifests.
  kObjectWritten,     // aside, not synced
  kObjectSynced,      // aside, not linked to its name
  kObjectLinked,      // the directory is not synced
  kManifestBegun,     // all parts are there, the manifest is not
  kManifestPut,       // that it is sealed is not logged
  kObjectCollected,   // deleted, others of the same collection are not
  // Recovery.
  kCheckpointsRead,   // the log is not opened
  kLogOpened,         // a new epoch is in the log, nothing else
  kStateLoaded,       // a part of state was read by an executor
  kCount
};

// "append begun"
std::string_view NameOf(KillPoint point);

namespace internal {
using AtKillPoint = void (*)(KillPoint);
inline constinit AtKillPoint at_kill_point = nullptr;  // set before the first thread starts
}  // namespace internal

inline bool KillPointsArmed() { return internal::at_kill_point != nullptr; }

inline void Pass(KillPoint point) {
  if (KillPointsArmed()) internal::at_kill_point(point);
}

}  // namespace sluice
