// `sluice conf explain BINARY [flags]`: the program itself knows what it sets, so it is asked.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "common/exit_code.h"
#include "common/job_binary.h"
#include "common/role_flags.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/values.h"

namespace sluice::cli {
namespace {

int Explain(const Typed& typed) {
  const std::string& binary = typed.positional[0];
  if (absl::Status status = CheckFile(binary); !status.ok()) return Fail(status);
  absl::Status program = CheckExecutable(binary);
  if (!program.ok()) return Fail(kExitRefused, std::string(program.message()) + ": " + binary);
  std::string path = binary.find('/') == binary.npos ? "./" + binary : binary;
  std::vector<std::string> words = {path, kExplainConfFlag};
  words.insert(words.end(), typed.rest.begin(), typed.rest.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(path.c_str(), arguments.data());
  return Fail(kExitRefused, std::string("cannot run: ") + std::strerror(errno) + ": " + binary);
}

}  // namespace

Command ConfExplainCommand() {
  Command command;
  command.name = "conf explain";
  command.help =
      "Prints each configuration value of a job, where it came from, and what it beat.\n"
      "The flags behind BINARY are the program's: --conf, --conf-file and its own.";
  command.positional = "BINARY";
  command.positional_min = command.positional_max = 1;
  command.passes_on = true;
  command.run = Explain;
  return command;
}

}  // namespace sluice::cli
