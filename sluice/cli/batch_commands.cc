// `sluice batch replay` and `sluice batch export`: a batch of a job, run again here from what is
// retained, or kept in a folder so that it can be run again anywhere.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "absl/cleanup/cleanup.h"
#include "checkpoint/errors.h"
#include "common/status.h"
#include "sluice/cli/batch_case.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/values.h"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

int FailOf(const absl::Status& status) {
  const int code = ExitCodeOf(status);
  if (code != kExitOk) return Fail(code, std::string(Message(status)));
  const bool other = absl::IsFailedPrecondition(status) || absl::IsDataLoss(status);
  return other ? Fail(kExitFailed, std::string(Message(status))) : Fail(status);
}

struct Wanted {
  std::unique_ptr<Client> client;
  proto::JobInfo job;
  int64_t batch_ms = 0;
  std::string program;
};

absl::StatusOr<Wanted> Find(const Typed& typed) {
  Wanted wanted;
  RETURN_IF_ERROR(CheckName("job name", typed.positional[0]));
  ASSIGN_OR_RETURN(wanted.batch_ms, ParseInteger("TIME", typed.positional[1], 1, INT64_MAX));
  ASSIGN_OR_RETURN(wanted.client, Client::Connect(typed));
  ASSIGN_OR_RETURN(wanted.job, wanted.client->JobStatus(typed.positional[0]));
  wanted.program = typed.Get("program", wanted.job.program());
  if (wanted.program.empty() || access(wanted.program.c_str(), X_OK) != 0) {
    return absl::FailedPreconditionError(
        "the program that was submitted is not on this node; name it with --program");
  }
  return wanted;
}

// Runs it as the terminal's foreground: Ctrl-C is the program's, or its debugger's.
int RunAndWait(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  signal(SIGINT, SIG_IGN);
  signal(SIGQUIT, SIG_IGN);
  const pid_t child = fork();
  if (child < 0) return Fail(kExitFailed, std::string("cannot fork: ") + std::strerror(errno));
  if (child == 0) {
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    execvp(argv[0], argv.data());
    _exit(Fail(kExitFailed, "cannot run " + words.front() + ": " + std::strerror(errno)));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return Fail(kExitFailed,
              words.front() + " was killed by signal " + std::to_string(WTERMSIG(status)));
}

int Replay(const Typed& typed) {
  absl::StatusOr<Wanted> wanted = Find(typed);
  if (!wanted.ok()) return FailOf(wanted.status());
  std::string folder = fs::temp_directory_path().string() + "/sluice-batch-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    return Fail(kExitFailed, "cannot make a folder like " + folder);
  }
  const absl::Cleanup sweep = [&folder] {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  };
  const absl::Status collected =
      CollectCase(wanted->client.get(), wanted->job, wanted->batch_ms, folder, false);
  if (!collected.ok()) return FailOf(collected);
  wanted->client.reset();  // its threads do not outlive a fork
  std::vector<std::string> words;
  std::istringstream with(typed.Get("with"));
  for (std::string word; with >> word;) words.push_back(word);
  words.push_back(wanted->program);
  words.push_back("--sluice-case=" + folder);
  return RunAndWait(std::move(words));
}

int Export(const Typed& typed) {
  absl::StatusOr<Wanted> wanted = Find(typed);
  if (!wanted.ok()) return FailOf(wanted.status());
  std::error_code error;
  const std::string folder = fs::absolute(typed.positional[2], error).string();
  if (!fs::create_directories(folder, error) && (error || !fs::is_empty(folder, error))) {
    return Fail(kExitRefused, "not a folder that is new or empty: " + folder);
  }
  const absl::Status collected =
      CollectCase(wanted->client.get(), wanted->job, wanted->batch_ms, folder, true);
  if (!collected.ok()) {
    for (const auto& entry : fs::directory_iterator(folder, error)) {  // which was empty
      fs::remove_all(entry.path(), error);
    }
    return FailOf(collected);
  }
  wanted->client.reset();
  const int code = RunAndWait({wanted->program, "--sluice-case=" + folder});
  if (code == kExitOk) std::cout << "run it again: PROGRAM --sluice-case=" << folder << std::endl;
  return code;
}

}  // namespace

Command BatchReplayCommand() {
  Command command;
  command.name = "batch replay";
  command.help =
      "Runs a retained batch again, in one process on this node, from the job's log and\n"
      "checkpoints, and names the operator whose state is not what was decided (1). The job is\n"
      "not changed. Where the job's store and input files can be read.";
  command.positional = "NAME TIME";
  command.positional_min = command.positional_max = 2;
  command.flags = ClientFlags(
      {{"program", "PATH", "this binary, say one built for a debugger (the one submitted)"},
       {"with", "WORDS", "run it by these, say \"gdb --args\""}});
  command.run = Replay;
  return command;
}

Command BatchExportCommand() {
  Command command;
  command.name = "batch export";
  command.help =
      "Keeps a retained batch with its state, input and rows in the folder DIR, new or empty,\n"
      "and runs it once. PROGRAM --sluice-case=DIR runs it again wherever it is, without a\n"
      "cluster, and ends with 1 when state or rows are others.";
  command.positional = "NAME TIME DIR";
  command.positional_min = command.positional_max = 3;
  command.flags =
      ClientFlags({{"program", "PATH", "the binary that runs it first (the one submitted)"}});
  command.run = Export;
  return command;
}

}  // namespace sluice::cli
