#include "sluice/program_flags.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "checkpoint/checkpoint_url.h"
#include "common/status.h"

namespace sluice {
namespace {

absl::Status Usage(const std::string& message) { return absl::InvalidArgumentError(message); }

// A flag's name and its value where the two are one word.
struct Word {
  std::string name;
  std::optional<std::string> value;
};

Word Split(const std::string& word) {
  const size_t equals = word.find('=');
  if (equals == std::string::npos) return {word.substr(2), std::nullopt};
  return {word.substr(2, equals - 2), word.substr(equals + 1)};
}

bool* Switch(ProgramFlags& flags, const std::string& name) {
  if (name == "explain") return &flags.explain;
  if (name == "help") return &flags.help;
  if (name == "version") return &flags.version;
  if (name == "fresh") return &flags.fresh;
  if (name == "discard-checkpoint") return &flags.discard_checkpoint;
  if (name == "overwrite") return &flags.overwrite;
  return nullptr;
}

bool TakesValue(const std::string& name) {
  return name == "checkpoint" || name == "conf" || name == "conf-file" || name == "http" ||
         name == "log" || name == "slots";
}

absl::Status Set(ProgramFlags& flags, const std::string& name, const std::string& value) {
  if (value.empty()) return Usage("--" + name + " needs a value");
  if (name == "checkpoint") {
    RETURN_IF_ERROR(ParseCheckpointUrl(value).status());
    flags.checkpoint = value;
  } else if (name == "conf-file") {
    flags.conf_file = value;
  } else if (name == "http") {
    ASSIGN_OR_RETURN(flags.http, ParseHostPort("--http", value, /*zero_allowed=*/true));
  } else if (name == "log") {
    flags.conf.emplace_back("log_url", value);
  } else if (name == "conf") {
    const size_t equals = value.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return Usage("--conf must be KEY=VALUE; it is \"" + value + "\"");
    }
    flags.conf.emplace_back(value.substr(0, equals), value.substr(equals + 1));
  } else {
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), flags.slots);
    if (error != std::errc() || end != value.data() + value.size() || flags.slots == 0 ||
        flags.slots > 1024) {
      return Usage("--slots must be a number from 1 to 1024; it is \"" + value + "\"");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ProgramFlags> TakeProgramFlags(std::vector<std::string>* words) {
  ProgramFlags flags;
  std::vector<std::string> rest;
  size_t i = 0;
  for (; i < words->size() && (*words)[i] != "--"; ++i) {
    const std::string& text = (*words)[i];
    if (!text.starts_with("--")) {
      rest.push_back(text);
      continue;
    }
    const Word word = Split(text);
    if (IsOwnFlag(word.name)) flags.typed.push_back(word.name);
    if (bool* on = Switch(flags, word.name)) {
      if (word.value.has_value()) return Usage("--" + word.name + " takes no value");
      *on = true;
    } else if (TakesValue(word.name)) {
      if (!word.value.has_value() && i + 1 == words->size()) {
        return Usage("--" + word.name + " needs a value");
      }
      RETURN_IF_ERROR(Set(flags, word.name, word.value.has_value() ? *word.value
                                                                   : (*words)[++i]));
    } else {
      rest.push_back(text);
    }
  }
  rest.insert(rest.end(), words->begin() + static_cast<ptrdiff_t>(i), words->end());
  *words = std::move(rest);
  return flags;
}

bool ProgramFlags::Typed(std::string_view name) const {
  return std::find(typed.begin(), typed.end(), name) != typed.end();
}

bool IsOwnFlag(const std::string& name) {
  ProgramFlags flags;
  return Switch(flags, name) != nullptr || TakesValue(name);
}

absl::Status CheckSubmittedWords(std::vector<std::string> words) {
  ASSIGN_OR_RETURN(const ProgramFlags flags, TakeProgramFlags(&words));
  for (const std::string& name : flags.typed) {
    if (name == "conf" || name == "conf-file" || name == "overwrite") continue;
    const bool of_submit = name == "checkpoint" || name == "log" || name == "fresh" ||
                           name == "discard-checkpoint";
    return Usage("--" + name + (of_submit ? " is a flag of `sluice submit`: it goes before the "
                                            "binary"
                                          : " is for a job that is not submitted"));
  }
  return absl::OkStatus();
}

}  // namespace sluice
