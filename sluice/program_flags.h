// Sluice's own flags on a job program, apart from those that the build function asks for.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/host_port.h"

namespace sluice {

struct ProgramFlags {
  bool explain = false;
  bool help = false;
  bool version = false;
  bool fresh = false;
  bool discard_checkpoint = false;
  bool overwrite = false;  // what another job left where output goes
  std::string checkpoint;  // URL; empty: none, or that of the program
  std::string conf_file;
  std::optional<HostPort> http;
  uint32_t slots = 0;      // 0: the machine's cores
  std::vector<std::pair<std::string, std::string>> conf;
  std::vector<std::string> typed;  // the names of all of them, in order

  bool Typed(std::string_view name) const;
};

// Takes them out of `words` (without argv[0]), in front of `--`. Usage error for a malformed one.
absl::StatusOr<ProgramFlags> TakeProgramFlags(std::vector<std::string>* words);

// Whether a flag of this name is Sluice's own on a job program.
bool IsOwnFlag(const std::string& name);

// The words that a submitted job is given. Usage error for what the command line of `sluice submit`
// is to say, or what only a local job takes: a job driver has its words again whenever it is
// started anew, and its daemon does not read them.
absl::Status CheckSubmittedWords(std::vector<std::string> words);

}  // namespace sluice
