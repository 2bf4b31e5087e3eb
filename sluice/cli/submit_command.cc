// `sluice submit`: ships a binary, and says how its job came up.
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <set>

#include "common/config.h"
#include "common/exit_code.h"
#include "common/job_files.h"
#include "common/status.h"
#include "driver/daemon/binary_store.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/table.h"
#include "sluice/cli/values.h"
#include "sluice/program_flags.h"

namespace sluice::cli {
namespace {

constexpr int64_t kMaxSlotsMost = 1 << 20;

struct Submission {
  proto::JobSpec spec;
  std::vector<std::string> paths;  // the binary, then the files
};

std::string BaseName(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

absl::Status AddFiles(const Typed& typed, Submission* submission) {
  std::set<std::string> names;
  for (const std::string& path : typed.All("file")) {
    RETURN_IF_ERROR(CheckFile(path));
    if (!names.insert(BaseName(path)).second) {
      return absl::InvalidArgumentError("two files of one name for the job's folder: " +
                                        BaseName(path));
    }
    RETURN_IF_ERROR(CheckJobFileName(BaseName(path)));
    submission->spec.add_files()->set_name(BaseName(path));
    submission->paths.push_back(path);
  }
  return absl::OkStatus();
}

// What SLUICE_KEY sets goes with the job: its own processes have the environment of daemons.
absl::Status AddEnvironment(proto::JobSpec* spec) {
  Config set;
  const ExitStatus read = set.ReadEnvironment(environ);
  if (read.code == kExitUsage) return absl::InvalidArgumentError(read.message);
  if (!read.ok()) return absl::FailedPreconditionError(read.message);
  for (const auto& [key, value] : set.Values()) {
    if (!spec->conf().contains(key)) (*spec->mutable_conf())[key] = value;
  }
  return absl::OkStatus();
}

// All that can be found wrong without asking anybody. A scheme that is known but not supported is
// for the driver to refuse: what is typed wrong goes first, then who cannot be reached.
absl::StatusOr<Submission> ReadTyped(const Typed& typed) {
  Submission submission;
  proto::JobSpec& spec = submission.spec;
  const std::string& binary = typed.positional[0];
  RETURN_IF_ERROR(CheckFile(binary));
  submission.paths.push_back(binary);
  spec.set_binary_name(BaseName(binary));
  if (!typed.Has("name")) return absl::InvalidArgumentError("a job needs a name: --name=NAME");
  RETURN_IF_ERROR(CheckName("job name", typed.Get("name")));
  spec.set_name(typed.Get("name"));
  spec.set_checkpoint(typed.Get("checkpoint"));
  if (typed.Has("checkpoint")) {
    absl::Status url = CheckCheckpointUrl(spec.checkpoint());
    if (url.code() == absl::StatusCode::kInvalidArgument) return url;
  }
  if (typed.Has("log")) {
    RETURN_IF_ERROR(CheckLogUrl(typed.Get("log")));
    (*spec.mutable_conf())["log_url"] = typed.Get("log");
  }
  for (const std::string& text : typed.All("conf")) {
    ASSIGN_OR_RETURN(auto pair, ParseConf(text));
    if (pair.first == "max_slots") {
      RETURN_IF_ERROR(ParseInteger("--conf max_slots", pair.second, 1, kMaxSlotsMost).status());
    }
    // Only that: the job may know keys that this program does not.
    const ExitStatus known = Config().SetFlag(text);
    if (known.code == kExitUsage) return absl::InvalidArgumentError(known.message);
    (*spec.mutable_conf())[pair.first] = pair.second;
  }
  RETURN_IF_ERROR(AddEnvironment(&spec));
  spec.set_fresh(typed.Has("fresh"));
  spec.set_discard_checkpoint(typed.Has("discard-checkpoint"));
  RETURN_IF_ERROR(AddFiles(typed, &submission));
  RETURN_IF_ERROR(CheckSubmittedWords(typed.rest));
  for (const std::string& word : typed.rest) spec.add_args(word);
  return submission;
}

absl::Status SumUp(Submission* submission) {
  proto::JobSpec& spec = submission->spec;
  for (size_t i = 0; i < submission->paths.size(); ++i) {
    ASSIGN_OR_RETURN(std::string digest, daemon::DigestOfFile(submission->paths[i]));
    uint64_t size = std::filesystem::file_size(submission->paths[i]);
    if (i == 0) {
      spec.set_binary_digest(digest);
      spec.set_binary_size(size);
    } else {
      spec.mutable_files(i - 1)->set_digest(digest);
      spec.mutable_files(i - 1)->set_size(size);
    }
  }
  return absl::OkStatus();
}

void ShowUpload(uint64_t sent, uint64_t total) {
  if (!IsTerminal(STDERR_FILENO) || total == 0) return;
  std::cerr << "\ruploading " << sent * 100 / total << " %" << (sent == total ? "\n" : "")
            << std::flush;
}

// Checkpoint or log lie on the driver's node only: said when others' disks could have been meant.
void WarnOfOneDisk(Client* client, const Submission& submission) {
  proto::WorkerList workers;
  const auto log = submission.spec.conf().find("log_url");
  const bool log_apart = log != submission.spec.conf().end();
  const std::string& url = log_apart ? log->second : submission.spec.checkpoint();
  if (url.rfind("rocksdb:", 0) != 0) return;
  if (!client->ListWorkers(&workers).ok()) return;
  std::string driver_host = client->address().substr(0, client->address().rfind(':'));
  for (const auto& worker : workers.workers()) {
    if (worker.host().empty() || worker.host() == driver_host) continue;
    if (IsLoopback(worker.host()) && IsLoopback(driver_host)) continue;
    std::cerr << "sluice: the " << (log_apart ? "log" : "checkpoint")
              << " is on the driver's node only and does not survive the loss of its disk: " << url
              << std::endl;
    return;
  }
}

// Stays until the job runs, waits for slots or for a person, or has ended.
absl::StatusOr<proto::JobInfo> AwaitRunning(Client* client, const std::string& name) {
  proto::JobInfo last;
  RETURN_IF_ERROR(client->Watch(name, [&](const proto::JobInfo& job) {
    last = job;
    const std::string& state = job.status().state();
    bool up = job.reported() && (state == "RUNNING" || state == "DRAINING");
    bool waits = job.reported() && state == "WAITING" && job.slots() == 0;
    // It goes on when somebody has decided, say to accept a loss. With an exit code it is on its
    // way to another start.
    bool asks = job.reported() && state == "RECOVERING" && !job.status().failure().empty() &&
                job.status().exit_code() == kExitOk;
    return up || waits || asks;
  }));
  return last;
}

int Submit(const Typed& typed) {
  auto submission = ReadTyped(typed);
  if (!submission.ok()) return Fail(submission.status());
  auto client = Client::Connect(typed);
  if (!client.ok()) return Fail(client.status());
  if (absl::Status status = SumUp(&*submission); !status.ok()) return Fail(status);
  auto outcome = (*client)->Submit(submission->spec, submission->paths, ShowUpload);
  if (!outcome.ok()) return Fail(outcome.status());
  if (outcome->exit_code() != kExitOk) return Fail(outcome->exit_code(), outcome->message());
  const std::string& name = submission->spec.name();
  auto job = AwaitRunning(client->get(), name);
  if (!job.ok()) return Fail(job.status());
  if (job->ended()) return ExitOfJob(*job);
  WarnOfOneDisk(client->get(), *submission);
  bool waits = job->status().state() == "WAITING";
  std::cout << name << " " << job->status().state()
            << (waits ? ": no free slot; it starts when there is one" : "")
            << (job->status().failure().empty() ? "" : ": " + job->status().failure())
            << std::endl;
  if (!typed.Has("wait")) return kExitOk;
  absl::Status status = (*client)->Watch(name, [&](const proto::JobInfo& seen) {
    *job = seen;
    return false;
  });
  return status.ok() ? ExitOfJob(*job) : Fail(status);
}

}  // namespace

Command SubmitCommand() {
  Command command;
  command.name = "submit";
  command.help =
      "Ships a job binary to the driver and starts it as a job.\n"
      "Returns 0 when the job is RUNNING, or WAITING for a free slot; a job that is refused\n"
      "before that gives its own exit code.";
  command.positional = "BINARY";
  command.positional_min = command.positional_max = 1;
  command.takes_rest = true;
  command.flags = ClientFlags(
      {{"name", "NAME", "of the job"},
       {"checkpoint", "URL", "rocksdb:/absolute/dir on the driver's node, or s3://bucket/prefix"},
       {"log", "URL", "rocksdb:/absolute/dir: the log alone, of a checkpoint in s3://"},
       {"conf", "K=V", "one configuration value; may be repeated", true},
       {"file", "PATH", "ship this file to where each process works; may be repeated", true},
       {"fresh", "", "start anew; refused when a checkpoint exists"},
       {"discard-checkpoint", "", "with --fresh: give up the checkpoint that exists"},
       {"wait", "", "stay until the job ends and give its exit code"}});
  command.run = Submit;
  return command;
}

}  // namespace sluice::cli
