#include "sluice/cli/command_line.h"

#include <algorithm>
#include <sstream>

#include "common/nearest.h"

namespace sluice::cli {
namespace {

absl::Status Wrong(const std::string& what, const std::string& word,
                   const std::vector<std::string>& candidates, const std::string& dashes = "") {
  std::string offer = DidYouMean(word, candidates, dashes);
  return absl::InvalidArgumentError(what + ": " + dashes + word + offer);
}

const Flag* FindFlag(const Command& command, const std::string& name) {
  for (const Flag& flag : command.flags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

std::vector<std::string> FlagNames(const Command& command) {
  std::vector<std::string> names = {"help"};
  for (const Flag& flag : command.flags) names.push_back(flag.name);
  return names;
}

// The flag at words[*at]; *at moves on to its last word.
absl::Status TakeFlag(const Command& command, const std::vector<std::string>& words, size_t* at,
                      Typed* typed) {
  const std::string& word = words[*at];
  bool is_long = word.rfind("--", 0) == 0;
  std::string body = word.substr(is_long ? 2 : 1);
  size_t equals = body.find('=');
  std::string name = body.substr(0, equals);
  if (name == "h") name = "help";
  const Flag* flag = name == "help" ? nullptr : FindFlag(command, name);
  if (name != "help" && flag == nullptr) {
    return Wrong("unknown flag", name, FlagNames(command), is_long ? "--" : "-");
  }
  bool is_switch = flag == nullptr || flag->value.empty();
  std::string value;
  if (equals != body.npos) {
    value = body.substr(equals + 1);
    if (is_switch && value != "true" && value != "false") {
      return absl::InvalidArgumentError("the flag takes no value: " + word);
    }
    if (is_switch && value == "false") return absl::OkStatus();
  } else if (!is_switch) {
    if (*at + 1 >= words.size() || words[*at + 1] == "--") {
      return absl::InvalidArgumentError("the flag needs a value, " + flag->value + ": " + word);
    }
    value = words[++*at];
  }
  if (!is_switch && value.empty()) {  // a variable of a script that was not set, say
    return absl::InvalidArgumentError("the flag needs a value, " + flag->value + ": " + word);
  }
  std::vector<std::string>& values = typed->flags[name];
  if (flag == nullptr || !flag->repeated) values.clear();
  values.push_back(value);
  return absl::OkStatus();
}

}  // namespace

std::string Typed::Get(const std::string& flag, const std::string& otherwise) const {
  auto found = flags.find(flag);
  return found == flags.end() ? otherwise : found->second.back();
}

std::vector<std::string> Typed::All(const std::string& flag) const {
  auto found = flags.find(flag);
  return found == flags.end() ? std::vector<std::string>() : found->second;
}

absl::StatusOr<Typed> ParseWords(const Command& command, const std::vector<std::string>& words) {
  Typed typed;
  for (size_t at = 0; at < words.size(); ++at) {
    const std::string& word = words[at];
    if (word == "--") {
      // What is not for a job is a positional argument, which may begin with a dash here.
      auto& behind = command.takes_rest ? typed.rest : typed.positional;
      behind.insert(behind.end(), words.begin() + at + 1, words.end());
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      typed.positional.push_back(word);
      if (!command.passes_on) continue;
      typed.rest.assign(words.begin() + at + 1, words.end());
      break;
    }
    if (absl::Status status = TakeFlag(command, words, &at, &typed); !status.ok()) return status;
  }
  if (typed.Has("help")) return typed;
  if (typed.positional.size() > command.positional_max) {
    return absl::InvalidArgumentError("one word too many for `sluice " + command.name + "`: " +
                                      typed.positional[command.positional_max]);
  }
  if (typed.positional.size() < command.positional_min) {
    return absl::InvalidArgumentError("`sluice " + command.name + "` needs " +
                                      command.positional + "; see `sluice " + command.name +
                                      " --help`");
  }
  return typed;
}

absl::StatusOr<const Command*> FindCommand(const std::vector<Command>& commands,
                                           std::vector<std::string>* words) {
  const std::string first = words->empty() ? "" : (*words)[0];
  const std::string two = words->size() > 1 ? first + " " + (*words)[1] : first;
  std::vector<std::string> singles, pairs;
  const Command* found = nullptr;
  for (const Command& command : commands) {
    size_t space = command.name.find(' ');
    // `worker list` goes before `worker`.
    if (command.name == two || (command.name == first && found == nullptr)) found = &command;
    singles.push_back(command.name.substr(0, space));
    if (space != command.name.npos && singles.back() == first) {
      pairs.push_back(command.name.substr(space + 1));
    }
  }
  if (found != nullptr) {
    bool single = found->name == first;
    words->erase(words->begin(), words->begin() + (single ? 1 : 2));
    return found;
  }
  if (pairs.empty()) return Wrong("unknown command", first, singles);
  std::string known;
  for (const std::string& name : pairs) known += (known.empty() ? "" : "|") + name;
  if (words->size() < 2 || (*words)[1].rfind("-", 0) == 0) {
    return absl::InvalidArgumentError("`sluice " + first + "` needs one of " + known);
  }
  return Wrong("unknown command of `sluice " + first + "`", (*words)[1], pairs);
}

std::string HelpOf(const Command& command) {
  std::ostringstream text;
  text << "usage: sluice " << command.name << (command.flags.empty() ? "" : " [flags]")
       << (command.positional.empty() ? "" : " " + command.positional)
       << (command.takes_rest ? " [-- flags of the program]" : "") << "\n\n"
       << command.help << "\n";
  if (!command.flags.empty()) text << "\nflags:\n";
  for (const Flag& flag : command.flags) {
    std::string left = (flag.name.size() == 1 ? "  -" : "  --") + flag.name;
    if (!flag.value.empty()) left += (flag.name.size() == 1 ? " " : "=") + flag.value;
    text << left << std::string(left.size() < 30 ? 30 - left.size() : 1, ' ') << flag.help << "\n";
  }
  return text.str();
}

std::string HelpOfAll(const std::vector<Command>& commands) {
  std::ostringstream text;
  text << "usage: sluice COMMAND [flags] [arguments]\n\ncommands:\n";
  for (const Command& command : commands) {
    std::string left = "  " + command.name;
    text << left << std::string(left.size() < 22 ? 22 - left.size() : 1, ' ')
         << command.help.substr(0, command.help.find('\n')) << "\n";
  }
  text << "\n`sluice COMMAND --help` tells more. --k=v and --k v are the same.\n";
  return text.str();
}

}  // namespace sluice::cli
