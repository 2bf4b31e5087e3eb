#include "checkpoint/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr char kExitCode[] = "sluice.exit_code";

absl::Status WithCode(absl::StatusCode code, int exit_code, const std::string& message) {
  absl::Status status(code, message);
  status.SetPayload(kExitCode, absl::Cord(std::string(1, static_cast<char>(exit_code))));
  return status;
}

}  // namespace

absl::Status FencedError(const std::string& message) {
  return WithCode(absl::StatusCode::kAborted, kExitFenced, message);
}

absl::Status HeldError(const std::string& message) {
  return WithCode(absl::StatusCode::kFailedPrecondition, kExitFenced, message);
}

absl::Status DamagedError(const std::string& message) {
  return WithCode(absl::StatusCode::kDataLoss, kExitDamaged, message);
}

absl::Status StartAgainError(const std::string& message) {
  return WithCode(absl::StatusCode::kUnavailable, kExitStartAgain, message);
}

absl::Status RefusedError(const std::string& message) {
  return WithCode(absl::StatusCode::kUnimplemented, kExitRefused, message);
}

absl::Status UsageError(const std::string& message) {
  return WithCode(absl::StatusCode::kInvalidArgument, kExitUsage, message);
}

bool IsFenced(const absl::Status& status) {
  return absl::IsAborted(status) && ExitCodeOf(status) == kExitFenced;
}

bool IsHeld(const absl::Status& status) {
  return absl::IsFailedPrecondition(status) && ExitCodeOf(status) == kExitFenced;
}

bool IsDamaged(const absl::Status& status) { return ExitCodeOf(status) == kExitDamaged; }

bool IsStartAgain(const absl::Status& status) { return ExitCodeOf(status) == kExitStartAgain; }

int ExitCodeOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kExitCode);
  if (!payload.has_value()) return 0;
  const std::string bytes(*payload);
  return bytes.size() == 1 ? bytes[0] : 0;
}

absl::Status WithContext(const std::string& context, const absl::Status& status) {
  if (status.ok()) return status;
  absl::Status result(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&result](auto url, const absl::Cord& payload) {
    result.SetPayload(url, payload);
  });
  return result;
}

}  // namespace sluice
