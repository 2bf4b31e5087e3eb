#include "driver/api/args.h"

#include <algorithm>
#include <charconv>

#include "common/nearest.h"

namespace sluice {
namespace {

template <class T>
bool ParseNumber(std::string_view text, T& value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end;
}

}  // namespace

Args::Args(std::vector<std::pair<std::string, std::string>> flags,
           std::vector<std::string> positional)
    : flags_(std::move(flags)), positional_(std::move(positional)) {}

Args Args::Parse(const std::vector<std::string>& words) {
  Args args;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      args.positional_.insert(args.positional_.end(), words.begin() + i + 1, words.end());
      break;
    }
    if (!word.starts_with("--")) {
      args.positional_.push_back(word);
      continue;
    }
    const size_t equals = word.find('=');
    if (equals != std::string::npos) {
      args.flags_.emplace_back(word.substr(2, equals - 2), word.substr(equals + 1));
    } else if (i + 1 < words.size() && !words[i + 1].starts_with("--")) {
      args.flags_.emplace_back(word.substr(2), words[++i]);
    } else {
      args.flags_.emplace_back(word.substr(2), "");
    }
  }
  return args;
}

const std::string* Args::Find(std::string_view name) {
  if (std::find(asked_.begin(), asked_.end(), name) == asked_.end()) asked_.emplace_back(name);
  for (auto it = flags_.rbegin(); it != flags_.rend(); ++it) {
    if (it->first == name) return &it->second;
  }
  return nullptr;
}

const std::string* Args::Require(std::string_view name) {
  const std::string* value = Find(name);
  if (value == nullptr && missing_.empty()) missing_ = name;
  return value;
}

void Args::Malformed(std::string_view name, std::string_view value, std::string_view wanted) {
  if (!malformed_.empty()) return;
  malformed_ = "--" + std::string(name) + " needs " + std::string(wanted) + "; it is \"" +
               std::string(value) + "\"";
}

std::string Args::Get(std::string_view name) {
  const std::string* value = Require(name);
  return value == nullptr ? std::string() : *value;
}
std::string Args::Get(std::string_view name, std::string_view otherwise) {
  const std::string* value = Find(name);
  return value == nullptr ? std::string(otherwise) : *value;
}

int64_t Args::GetInt(std::string_view name) {
  return Require(name) == nullptr ? 0 : GetInt(name, 0);
}
int64_t Args::GetInt(std::string_view name, int64_t otherwise) {
  const std::string* value = Find(name);
  if (value == nullptr) return otherwise;
  int64_t number = 0;
  if (ParseNumber(*value, number)) return number;
  Malformed(name, *value, "a whole number");
  return otherwise;
}

double Args::GetDouble(std::string_view name) {
  return Require(name) == nullptr ? 0 : GetDouble(name, 0);
}
double Args::GetDouble(std::string_view name, double otherwise) {
  const std::string* value = Find(name);
  if (value == nullptr) return otherwise;
  double number = 0;
  if (ParseNumber(*value, number)) return number;
  Malformed(name, *value, "a number");
  return otherwise;
}

bool Args::GetBool(std::string_view name, bool otherwise) {
  const std::string* value = Find(name);
  if (value == nullptr) return otherwise;
  if (value->empty() || *value == "true" || *value == "1" || *value == "yes") return true;
  if (*value == "false" || *value == "0" || *value == "no") return false;
  Malformed(name, *value, "true or false");
  return otherwise;
}

bool Args::Has(std::string_view name) { return Find(name) != nullptr; }

Outcome Args::Check(bool complete, bool all_asked) const {
  if (!malformed_.empty()) return {2, malformed_};
  for (const auto& [name, value] : flags_) {
    if (!all_asked || std::find(asked_.begin(), asked_.end(), name) != asked_.end()) continue;
    return {2, "unknown flag --" + name + DidYouMean(name, asked_, "--")};
  }
  if (complete && !missing_.empty()) return {2, "missing flag --" + missing_};
  return {};
}

}  // namespace sluice
