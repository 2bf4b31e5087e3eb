// Child processes: started so that ps shows what they are, ended with their parent where they
// should, their output kept within bounds, and their end reported with its cause.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice {

// One process for ever: a pid is used again, a pid with its start time is not.
struct ProcessId {
  int64_t pid = 0;
  uint64_t start_time = 0;  // clock ticks since boot, field 22 of /proc/PID/stat
  bool operator==(const ProcessId&) const = default;
};

// The process that has this pid now; pid 0 when none has. A zombie has ended.
ProcessId FindProcess(int64_t pid);
bool ProcessLives(const ProcessId& process);
// Signals this very process; false when it has ended.
bool SignalProcess(const ProcessId& process, int signal);
// Waits for the end of any process, child or not; false when the time was over first.
bool AwaitProcessEnd(const ProcessId& process, int64_t milliseconds);

struct ExitCause {
  bool signaled = false;
  int number = 0;  // exit code or signal
  std::string Text() const;  // "exit 1", "signal 11"
  bool operator==(const ExitCause&) const = default;
};

enum class ChildOutput {
  kInherited,
  kPumped,  // through the spawner: two files of at most 8 MiB; ends with the spawner
  kDirect,  // the child holds the file itself and outlives us; it calls RotateOwnOutput
};

struct SpawnOptions {
  std::string path;   // of the program
  std::string argv0;  // what ps shows; empty: path
  std::vector<std::string> args = {};
  std::map<std::string, std::string> env = {};  // beside what we have
  std::string directory = "";                   // to work in; empty: ours
  ChildOutput output = ChildOutput::kInherited;
  std::string output_path = "";  // standard output and error together; PATH.1 is the older file
  bool ends_with_parent = true;  // the child calls EndWithParent
};

inline constexpr int64_t kOutputFileMax = 8 << 20;

// Owns a thread that starts, watches and reaps its children; it lives as long as the spawner, so
// that the kernel ends them with it and not earlier. Children do not inherit any descriptor but
// the standard ones, and get a process group of their own. Thread-safe.
class Spawner {
 public:
  // Called once per child, on the spawner's thread, when what the child had written is in its
  // file. Must not call Start.
  using OnExit = std::function<void(const ProcessId&, const ExitCause&)>;

  Spawner();
  // Leaves children running; OnExit is not called any more.
  ~Spawner();

  // With what the system says; FailedPrecondition: it is no program. Not on the spawner's thread.
  absl::StatusOr<ProcessId> Start(const SpawnOptions& options, OnExit on_exit);
  // False when that child has ended.
  bool Signal(const ProcessId& child, int signal);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// ---- in the child, first thing in main -------------------------------------------------------

// When its parent asked for it: this process is killed when the parent ends, and ends now when
// that has already happened.
void EndWithParent();

// Sets standard output and error to a new file, the old one kept as PATH.1, when the present one
// is full. Called from time to time by a process with ChildOutput::kDirect.
void RotateOwnOutput(const std::string& path, int64_t max_bytes = kOutputFileMax);

}  // namespace sluice
