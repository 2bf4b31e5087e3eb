// The one mapping between statuses inside and exit codes outside.
#pragma once

#include "absl/status/status.h"
#include "common/exit_code.h"
#include "common/status.h"

namespace sluice {

// InvalidArgument 2; FailedPrecondition, AlreadyExists, Unimplemented 3; Unavailable 4;
// DeadlineExceeded 5; Unauthenticated, PermissionDenied 6; Aborted 7; DataLoss 8; others 1.
inline int ExitCodeOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk: return kExitOk;
    case absl::StatusCode::kInvalidArgument: return kExitUsage;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kUnimplemented: return kExitRefused;
    case absl::StatusCode::kUnavailable: return kExitUnreachable;
    case absl::StatusCode::kDeadlineExceeded: return kExitDeadline;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied: return kExitDenied;
    case absl::StatusCode::kAborted: return kExitFenced;
    case absl::StatusCode::kDataLoss: return kExitDamaged;
    default: return kExitFailed;
  }
}

inline ExitStatus ToExit(const absl::Status& status) {
  return {ExitCodeOf(status.code()), std::string(Message(status))};
}

}  // namespace sluice
