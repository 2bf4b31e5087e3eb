#include "common/net/access.h"

#include <algorithm>
#include <iterator>
#include <string>

namespace sluice {
namespace {

constexpr MethodAccess kMethods[] = {
    {"/sluice.proto.Link/Open", kWorker | kJob},
    {"/sluice.proto.Driver/Submit", kClient},
    {"/sluice.proto.Driver/WatchJob", kClient},
    {"/sluice.proto.Driver/ListJobs", kClient},
    {"/sluice.proto.Driver/JobStatusOf", kClient},
    {"/sluice.proto.Driver/DrainJob", kClient},
    {"/sluice.proto.Driver/CancelJob", kClient},
    {"/sluice.proto.Driver/AcceptLossOf", kClient},
    {"/sluice.proto.Driver/JobCheckpoints", kClient},
    {"/sluice.proto.Driver/JobLetters", kClient},
    {"/sluice.proto.Driver/ReplayLettersOf", kClient},
    {"/sluice.proto.Driver/ReadBlock", kClient},
    {"/sluice.proto.Driver/DrainWorkerOf", kClient},
    {"/sluice.proto.Driver/JobLogs", kClient},
    {"/sluice.proto.Driver/ListWorkers", kClient},
    {"/sluice.proto.Driver/FetchBinary", kWorker},
    {"/sluice.proto.Driver/Leader", kClient},
    {"/sluice.proto.Driver/FindStream", kClient},
    {"/sluice.proto.Push/Push", kClient | kJob},
};

}  // namespace

std::span<const MethodAccess> MethodTable() { return kMethods; }

absl::Status CheckAccess(std::string_view path, const Caller& caller) {
  const auto* found = std::find_if(std::begin(kMethods), std::end(kMethods),
                                   [&](const MethodAccess& m) { return m.path == path; });
  if (found != std::end(kMethods) && (found->callers & caller.kinds) != 0) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError("not allowed: " + std::string(path));
}

bool JobMaySend(proto::Envelope::MessageCase message) {
  using M = proto::Envelope;
  switch (message) {
    // Between daemons only, or commands that only a daemon gives.
    case M::kWorkerRegister:
    case M::kWorkerRegistered:
    case M::kWorkerHeartbeat:
    case M::kClusterMembers:
    case M::kJobStop:
    case M::kAcceptLoss:
    case M::kWorkerInventory:
    case M::kExecutorExited:
    case M::kBlockAnnounce:
    case M::kSealedSlices:
    case M::kBlockCopy:
    case M::kBlockCopied:
    case M::kBlockNotRestored:
    case M::kDrainWorker:
    case M::kJobsOver:
    case M::kDriverLeads:
    case M::kReplayLetters:
    case M::MESSAGE_NOT_SET:
      return false;
    // Job drivers and executors.
    case M::kJobDriverRegister:
    case M::kJobStatus:
    case M::kJobSession:
    case M::kStartExecutor:
    case M::kStopExecutor:
    case M::kBlockVerdict:
    case M::kReleaseBlocks:
    case M::kReplicateBlock:
    case M::kRestoreBlock:
    case M::kProducerQuery:
    case M::kReceiverError:
    case M::kProducerAnswer:
    case M::kSealDone:  // of a receiver executor
    case M::kSealTick:
    case M::kReceiverRates:
    case M::kJobEnded:
    case M::kLeaseBeat:
    case M::kFetchBlock:
    case M::kFetchedBlock:
    case M::kExecutorAttach:
    case M::kExecutorBeat:
    case M::kSealSlices:
    case M::kExecutorHello:
    case M::kExecutorInit:
    case M::kExecutorReady:
    case M::kGrant:
    case M::kGrantDone:
    case M::kBatchGrant:
    case M::kShareBundle:
    case M::kBatchReport:
    case M::kCheckpointPart:
    case M::kSuspectPeer:
    case M::kStageLate:
    case M::kCopyDiffers:
      return true;
  }
  return false;
}

bool JobMaySend(const proto::Envelope& message, std::string_view job) {
  using M = proto::Envelope;
  switch (message.message_case()) {
    case M::kJobDriverRegister: return message.job_driver_register().job() == job;
    case M::kJobStatus: return message.job_status().job() == job;
    case M::kJobSession: return message.job_session().job() == job;
    case M::kStartExecutor: return message.start_executor().job() == job;
    default: return JobMaySend(message.message_case());
  }
}

}  // namespace sluice
