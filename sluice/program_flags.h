// Sluice's own flags on a job program, apart from those that the build function asks for.
#pragma once

#include <optional>
#include <string>
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
  std::string checkpoint;  // URL; empty: none
  std::string conf_file;
  std::optional<HostPort> http;
  uint32_t slots = 0;      // 0: the machine's cores
  std::vector<std::pair<std::string, std::string>> conf;
};

// Takes them out of `words` (without argv[0]), in front of `--`. Usage error for a malformed one.
absl::StatusOr<ProgramFlags> TakeProgramFlags(std::vector<std::string>* words);

}  // namespace sluice
