// Processes that need not be our children, and what a child does for its parent.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "common/spawn.h"
#include "common/spawn_internal.h"

namespace sluice {
namespace {

// A descriptor of exactly this process; -1 when it has ended.
int OpenProcess(const ProcessId& process) {
  if (process.pid <= 0) return -1;
  const int fd = internal::PidFd(process.pid);
  if (fd >= 0 && FindProcess(process.pid) != process) {
    close(fd);
    return -1;
  }
  return fd;
}

}  // namespace

int internal::PidFd(int64_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

ProcessId FindProcess(int64_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  char text[1024];
  const ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return {};
  text[size] = 0;
  // The name in parentheses may hold anything; what follows it does not.
  const char* at = strrchr(text, ')');
  if (at == nullptr) return {};
  char state = 0;
  unsigned long long start = 0;
  const int got = sscanf(at + 1,
                         " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                         "%*s %llu",
                         &state, &start);
  if (got != 2 || state == 'Z' || state == 'X') return {};
  return {pid, start};
}

bool ProcessLives(const ProcessId& process) {
  return process.pid > 0 && FindProcess(process.pid) == process;
}

bool SignalProcess(const ProcessId& process, int signal) {
  const int fd = OpenProcess(process);
  if (fd < 0) return false;
  const bool sent = syscall(SYS_pidfd_send_signal, fd, signal, nullptr, 0) == 0;
  close(fd);
  return sent;
}

bool AwaitProcessEnd(const ProcessId& process, int64_t milliseconds) {
  const int fd = OpenProcess(process);
  if (fd < 0) return true;
  pollfd wait = {fd, POLLIN, 0};
  const bool ended = poll(&wait, 1, static_cast<int>(milliseconds)) == 1;
  close(fd);
  return ended;
}

std::string ExitCause::Text() const {
  return (signaled ? "signal " : "exit ") + std::to_string(number);
}

void EndWithParent() {
  const char* parent = getenv(internal::kParentVariable);
  if (parent == nullptr) return;
  const long pid = strtol(parent, nullptr, 10);
  unsetenv(internal::kParentVariable);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != pid) _exit(1);
}

void RotateOwnOutput(const std::string& path, int64_t max_bytes) {
  struct stat status;
  if (fstat(STDOUT_FILENO, &status) != 0 || !S_ISREG(status.st_mode)) return;
  if (status.st_size < max_bytes) return;
  fflush(stdout);
  if (rename(path.c_str(), (path + ".1").c_str()) != 0) return;
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  dup2(fd, STDOUT_FILENO);
  dup2(fd, STDERR_FILENO);
  close(fd);
}

}  // namespace sluice
