#include "common/kill_point_arming.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/kill_point.h"

namespace sluice {
namespace {

KillPoint fatal_point = KillPoint::kCount;
std::atomic<int> passes_left = 0;
std::string* note = nullptr;  // not destroyed: a thread may pass at the end of the process

void EndAtFatalPoint(KillPoint point) {
  if (point != fatal_point || --passes_left != 0) return;
  close(open(note->c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  (void)std::raise(SIGKILL);
}

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

KillPoint PointOf(const std::string& name) {
  for (int i = 0; i < static_cast<int>(KillPoint::kCount); ++i) {
    if (NameOf(static_cast<KillPoint>(i)) == name) return static_cast<KillPoint>(i);
  }
  return KillPoint::kCount;
}

}  // namespace

absl::Status ArmKillPointByEnvironment() {
  const std::string name = Variable("CRASH_POINT");
  if (name.empty()) return absl::OkStatus();
  const KillPoint point = PointOf(name);
  if (point == KillPoint::kCount) {
    return absl::InvalidArgumentError(absl::StrCat("CRASH_POINT: no place is named \"", name,
                                                   "\"; common/kill_point.cc has the names"));
  }
  int passes = 0;
  const std::string pass = Variable("CRASH_PASS");
  if (!absl::SimpleAtoi(pass, &passes) || passes < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("CRASH_PASS: \"", pass, "\" is no number from 1 on"));
  }
  fatal_point = point;
  passes_left = passes;
  note = new std::string(Variable("CRASH_NOTE"));
  internal::at_kill_point = EndAtFatalPoint;
  return absl::OkStatus();
}

}  // namespace sluice
