#include "sluice/cli/daemon_main.h"

#include <glog/logging.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace sluice::cli {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

void HoldStopSignals() {
  sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

bool AwaitStop(int64_t milliseconds) {
  sigset_t set = StopSignals();
  if (milliseconds < 0) {
    int signal = 0;
    return sigwait(&set, &signal) == 0;
  }
  timespec wait = {milliseconds / 1000, (milliseconds % 1000) * 1'000'000};
  return sigtimedwait(&set, nullptr, &wait) > 0;
}

absl::Status WritePortFile(const std::string& path, const std::string& address) {
  if (path.empty()) return absl::OkStatus();
  std::string aside = path + ".new";
  {
    std::ofstream file(aside);
    file << address << "\n";
    if (!file.flush()) return absl::FailedPreconditionError("cannot write the port file: " + aside);
  }
  if (std::rename(aside.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(std::string("cannot write the port file: ") +
                                       std::strerror(errno) + ": " + path);
}

void LogToStandardError(const char* program) {
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(program);
}

}  // namespace sluice::cli
