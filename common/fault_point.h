// Places inside the cores where what may always happen, and seldom does, is made to happen: a
// decision that comes a step later, a message that is not sent this time, work that nobody needed.
// The simulator draws them in two stages: for each run which points are armed, and each time that
// an armed one is passed whether it fires. Elsewhere nothing is installed and none ever fires.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

enum class FaultPoint : uint8_t {
  // Job driver.
  kTickLater,          // a tick that is due is taken with the next step
  kDecideLater,        // a batch whose reports are in is decided with the next step
  kGrantUnsent,        // a generation's grant is not sent to one member this time
  kFormLater,          // members that are up are waited for a little longer
  kGenerationUnneeded, // a rollback without cause
  kCheckpointGivenUp,  // a part that was written well counts as failed
  kManifestLater,      // its manifest is put with the next step
  kPublishLater,       // an output that could be published is tried later
  kRollEarly,          // a file is made of less than it should have
  kReleaseLater,       // blocks that nobody needs are not released yet
  kForgetLater,        // what a checkpoint covers is remembered for longer
  kSessionAgain,       // a worker hears again what it was told
  kInventoryAsked,     // a worker is asked for all it holds
  // Executors.
  kMergeLater,         // layers of decided batches are merged with the next step
  kTableWhole,         // a checkpoint has a whole partition where its changes would do
  // Worker daemons.
  kNoPeer,             // no other daemon can take a copy at the moment
  // Driver log.
  kAppendAlone,        // appends that wait are not grouped
  kTailChecked,        // the log is looked at before an append
  kPutConfirmed,       // and after it
  kCount
};

// "tick later"
std::string_view NameOf(FaultPoint point);

class FaultPoints {
 public:
  virtual ~FaultPoints() = default;
  virtual bool Fires(FaultPoint point) = 0;
};

namespace internal {
inline constinit thread_local FaultPoints* fault_points = nullptr;
}

// Installs them for this thread while it lives; not nested.
class FaultPointsHere {
 public:
  explicit FaultPointsHere(FaultPoints* points) { internal::fault_points = points; }
  FaultPointsHere(const FaultPointsHere&) = delete;
  FaultPointsHere& operator=(const FaultPointsHere&) = delete;
  ~FaultPointsHere() { internal::fault_points = nullptr; }
};

inline bool Fires(FaultPoint point) {
  return internal::fault_points != nullptr && internal::fault_points->Fires(point);
}

}  // namespace sluice
