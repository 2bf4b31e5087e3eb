// The hidden flags that give a process started from a job binary its role. Daemons write them,
// RunJob reads them; nobody types them. They live in common/ because driver/, worker/ and sluice/
// all need them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/protocol_version.h"

namespace sluice {

// `<binary> --sluice-describe` prints one line of JSON (DescribeLine below) and exits with 0
// before it does anything else: the proof that a file is a job binary which loads on this machine.
inline constexpr char kDescribeFlag[] = "--sluice-describe";

// `<binary> --sluice-explain-conf [flags]` prints each configuration value, where it came from and
// what it beat, and exits; `sluice conf explain` runs it.
inline constexpr char kExplainConfFlag[] = "--sluice-explain-conf";

// A job driver that comes to an orderly end leaves its exit code, a decimal number, in this file of
// its `--sluice-data` folder: a daemon that returned is not its parent and cannot wait for it.
inline constexpr char kExitCodeFile[] = "exit_code";

// A job driver ends with this code when what its start needed was used up: room on a disk above
// all, or descriptors. Its daemon starts it again for as long as that lasts.
inline constexpr int kExitUsedUp = 74;

// Where in that folder the job driver's standard output and error go. The job driver keeps the file
// within bounds itself (RotateOwnOutput of common/spawn.h): it outlives the daemon.
inline constexpr char kOutputFile[] = "output";

// The job's token reaches its processes in this environment variable and by no other way. The
// process removes the variable as soon as it has read it.
inline constexpr char kJobTokenVariable[] = "SLUICE_JOB_TOKEN";

// A job driver. Beside these, its command line holds `--checkpoint=URL`, `--fresh`,
// `--discard-checkpoint` and `--conf=k=v` as typed by the submitter, then the program's own flags.
struct DriverRoleFlags {
  std::string job;      // --sluice-job=        name of the job
  std::string daemon;   // --sluice-daemon=     HOST:PORT of the driver daemon's link server
  std::string host;     // --sluice-host=       host to listen on
  std::string data;     // --sluice-data=       the job's own folder: log without a checkpoint URL
  std::string digest;   // --sluice-digest=     SHA-256 of the binary, lower-case hex
  std::string program;  // --sluice-program=    base name of what was submitted, for people
  bool resumes = false; // --sluice-resumes=1   the job has a log: one that is not there is lost
};

enum class ExecutorKind { kTasks, kReceivers };

// An executor, child of a worker daemon.
struct ExecutorRoleFlags {
  uint32_t executor = 0;          // --sluice-executor=        unique within the epoch
  uint64_t epoch = 0;             // --sluice-epoch=
  uint64_t instance = 0;          // --sluice-instance=        16 hex digits
  std::string job;                // --sluice-job=
  std::string job_driver;         // --sluice-job-driver=      HOST:PORT
  std::string worker;             // --sluice-worker=          HOST:PORT of the worker daemon
  std::string worker_id;          // --sluice-worker-id=
  std::string socket;             // --sluice-socket=          unix socket for descriptors
  std::string host;               // --sluice-host=            host to listen on
  std::string digest;             // --sluice-digest=
  ExecutorKind kind = ExecutorKind::kTasks;  // --sluice-executor-role=tasks|receivers
  uint32_t slots = 1;             // --sluice-slots=
  std::vector<uint32_t> streams;           // --sluice-streams=1,2         receivers only
  std::vector<uint64_t> incarnations;      // --sluice-incarnations=hex,…  one per stream
};

enum class Role { kLocal, kDriver, kExecutor, kDescribe, kExplainConf };

struct RoleFlags {
  Role role = Role::kLocal;
  DriverRoleFlags driver;      // meaningful for kDriver
  ExecutorRoleFlags executor;  // meaningful for kExecutor
};

// Takes every `--sluice-*` flag in front of `--` out of `args` (which does not hold argv[0]). No
// such flag: kLocal. InvalidArgument names the flag that is unknown, malformed or missing.
absl::StatusOr<RoleFlags> TakeRoleFlags(std::vector<std::string>* args);

// `--sluice-role=…` and all that belongs to it, each as one `--name=value` argument.
std::vector<std::string> FormatRoleFlags(const DriverRoleFlags& flags);
std::vector<std::string> FormatRoleFlags(const ExecutorRoleFlags& flags);

// What ps shows: "wordcount [job wc, driver]", "wordcount [job wc, executor 2]". Used as argv[0].
std::string ProcessTitle(const std::string& program, const DriverRoleFlags& flags);
std::string ProcessTitle(const std::string& program, const ExecutorRoleFlags& flags);

// {"sluice":"0.1.0","protocol":2,"machine":"x86_64"}
std::string DescribeLine();

// The protocol number of a describe line; InvalidArgument when it is none.
absl::StatusOr<uint32_t> ParseDescribeLine(const std::string& line);

}  // namespace sluice
