// The grammar of the `sluice` command: words that name a command, flags on either side of
// positional arguments, `--` before what is not ours.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::cli {

struct Flag {
  std::string name;    // without dashes
  std::string value;   // what stands for its value in help; empty: a switch
  std::string help;
  bool repeated = false;
};

// What was typed behind a command's name, taken apart. The last of a flag counts.
class Typed {
 public:
  bool Has(const std::string& flag) const { return flags.count(flag) != 0; }
  std::string Get(const std::string& flag, const std::string& otherwise = "") const;
  std::vector<std::string> All(const std::string& flag) const;

  std::map<std::string, std::vector<std::string>> flags;
  std::vector<std::string> positional;
  std::vector<std::string> rest;  // behind `--`
};

struct Command {
  std::string name;             // "job list"
  std::string positional;       // "NAME", for people
  size_t positional_min = 0;
  size_t positional_max = 0;
  std::string help;             // one line, then paragraphs
  std::vector<Flag> flags;
  bool takes_rest = false;      // something may stand behind `--`
  bool passes_on = false;       // all behind the first positional argument is `rest`
  int (*run)(const Typed& typed) = nullptr;  // gives the exit code
};

// InvalidArgument, with the nearest name where one is near: all that can be found wrong without
// asking anybody about the words themselves.
absl::StatusOr<Typed> ParseWords(const Command& command, const std::vector<std::string>& words);

// The command that the first one or two words name; these are taken off `words`.
absl::StatusOr<const Command*> FindCommand(const std::vector<Command>& commands,
                                           std::vector<std::string>* words);

std::string HelpOf(const Command& command);
std::string HelpOfAll(const std::vector<Command>& commands);

}  // namespace sluice::cli
