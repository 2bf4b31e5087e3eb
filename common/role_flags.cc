#include "common/role_flags.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <set>

#include "absl/status/status.h"

namespace sluice {
namespace {

constexpr char kPrefix[] = "--sluice-";

absl::Status Malformed(const std::string& name, const std::string& value) {
  return absl::InvalidArgumentError("malformed value of " + name + ": '" + value + "'");
}

template <class T>
bool ParseNumber(const std::string& text, int base, T* value) {
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, *value, base);
  return error == std::errc() && stop == end && !text.empty();
}

template <class T>
bool ParseList(const std::string& text, int base, std::vector<T>* values) {
  values->clear();
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find(',', begin), text.size());
    T value = 0;
    if (!ParseNumber(text.substr(begin, end - begin), base, &value)) return false;
    values->push_back(value);
    begin = end + 1;
  }
  return true;
}

std::string Hex(uint64_t value) {
  std::string text(16, '0');
  for (int i = 15; i >= 0; --i, value >>= 4) text[i] = "0123456789abcdef"[value & 15];
  return text;
}

// One flag of a role: how its value is read, and whether the role needs it.
struct Setter {
  std::function<bool(const std::string&)> set;
  bool required = true;
};
using Setters = std::map<std::string, Setter>;

Setter Text(std::string* field, bool required = true) {
  return {[field](const std::string& v) { return *field = v, true; }, required};
}

template <class T>
Setter Number(T* field, int base = 10) {
  return {[field, base](const std::string& v) { return ParseNumber(v, base, field); }, true};
}

template <class T>
Setter List(std::vector<T>* field, int base) {
  return {[field, base](const std::string& v) { return ParseList(v, base, field); }, false};
}

Setters SettersOf(DriverRoleFlags* f) {
  return {{"job", Text(&f->job)},
          {"daemon", Text(&f->daemon)},
          {"host", Text(&f->host)},
          {"data", Text(&f->data)},
          {"digest", Text(&f->digest)},
          {"program", Text(&f->program, /*required=*/false)},
          {"resumes", {[f](const std::string& v) { return f->resumes = v == "1"; }, false}}};
}

Setters SettersOf(ExecutorRoleFlags* f) {
  auto kind = [f](const std::string& v) {
    f->kind = v == "receivers" ? ExecutorKind::kReceivers : ExecutorKind::kTasks;
    return v == "receivers" || v == "tasks";
  };
  return {{"executor", Number(&f->executor)},
          {"epoch", Number(&f->epoch)},
          {"instance", Number(&f->instance, 16)},
          {"job", Text(&f->job)},
          {"job-driver", Text(&f->job_driver)},
          {"worker", Text(&f->worker)},
          {"worker-id", Text(&f->worker_id, /*required=*/false)},
          {"socket", Text(&f->socket)},
          {"host", Text(&f->host)},
          {"digest", Text(&f->digest)},
          {"executor-role", {kind, true}},
          {"slots", Number(&f->slots)},
          {"streams", List(&f->streams, 10)},
          {"incarnations", List(&f->incarnations, 16)}};
}

using Pairs = std::map<std::string, std::string>;

absl::Status Apply(const Setters& setters, const Pairs& pairs) {
  for (const auto& [name, value] : pairs) {
    auto setter = setters.find(name);
    if (setter == setters.end()) {
      return absl::InvalidArgumentError("unknown flag: " + (kPrefix + name));
    }
    if (!setter->second.set(value)) return Malformed(kPrefix + name, value);
  }
  for (const auto& [name, setter] : setters) {
    if (setter.required && pairs.count(name) == 0) {
      return absl::InvalidArgumentError("missing flag: " + (kPrefix + name));
    }
  }
  return absl::OkStatus();
}

// Moves the role's flags from `args` to the result, name (without prefix) to value.
Pairs TakePairs(std::vector<std::string>* args) {
  Pairs pairs;
  auto end = std::find(args->begin(), args->end(), "--");
  auto keep = std::stable_partition(args->begin(), end, [](const std::string& arg) {
    return arg.rfind(kPrefix, 0) != 0;
  });
  for (auto arg = keep; arg != end; ++arg) {
    std::string body = arg->substr(sizeof(kPrefix) - 1);
    size_t equals = body.find('=');
    pairs[body.substr(0, equals)] = equals == body.npos ? "" : body.substr(equals + 1);
  }
  args->erase(keep, end);
  return pairs;
}

std::string Flag(const char* name, const std::string& value) {
  return std::string(kPrefix) + name + "=" + value;
}

}  // namespace

absl::StatusOr<RoleFlags> TakeRoleFlags(std::vector<std::string>* args) {
  RoleFlags flags;
  Pairs pairs = TakePairs(args);
  if (pairs.empty()) return flags;
  if (pairs.count("describe") != 0) {
    flags.role = Role::kDescribe;
    return flags;
  }
  if (pairs.size() == 1 && pairs.count("explain-conf") != 0) {
    flags.role = Role::kExplainConf;
    return flags;
  }
  auto role = pairs.extract("role");
  if (role.empty()) return absl::InvalidArgumentError("missing flag: --sluice-role");
  absl::Status status;
  if (role.mapped() == "driver") {
    flags.role = Role::kDriver;
    status = Apply(SettersOf(&flags.driver), pairs);
  } else if (role.mapped() == "executor") {
    flags.role = Role::kExecutor;
    status = Apply(SettersOf(&flags.executor), pairs);
    if (status.ok() && flags.executor.streams.size() != flags.executor.incarnations.size()) {
      status = absl::InvalidArgumentError("--sluice-incarnations needs one entry per stream");
    }
  } else {
    status = Malformed("--sluice-role", role.mapped());
  }
  if (!status.ok()) return status;
  return flags;
}

std::vector<std::string> FormatRoleFlags(const DriverRoleFlags& flags) {
  std::vector<std::string> args = {
      Flag("role", "driver"), Flag("job", flags.job),   Flag("daemon", flags.daemon),
      Flag("host", flags.host), Flag("data", flags.data), Flag("digest", flags.digest)};
  if (!flags.program.empty()) args.push_back(Flag("program", flags.program));
  if (flags.resumes) args.push_back(Flag("resumes", "1"));
  return args;
}

std::vector<std::string> FormatRoleFlags(const ExecutorRoleFlags& flags) {
  std::vector<std::string> args = {
      Flag("role", "executor"),
      Flag("executor", std::to_string(flags.executor)),
      Flag("epoch", std::to_string(flags.epoch)),
      Flag("instance", Hex(flags.instance)),
      Flag("job", flags.job),
      Flag("job-driver", flags.job_driver),
      Flag("worker", flags.worker),
      Flag("worker-id", flags.worker_id),
      Flag("socket", flags.socket),
      Flag("host", flags.host),
      Flag("digest", flags.digest),
      Flag("executor-role", flags.kind == ExecutorKind::kReceivers ? "receivers" : "tasks"),
      Flag("slots", std::to_string(flags.slots)),
  };
  if (flags.streams.empty()) return args;
  std::string streams, incarnations;
  for (uint32_t stream : flags.streams) {
    streams += (streams.empty() ? "" : ",") + std::to_string(stream);
  }
  for (uint64_t incarnation : flags.incarnations) {
    incarnations += (incarnations.empty() ? "" : ",") + Hex(incarnation);
  }
  args.push_back(Flag("streams", streams));
  args.push_back(Flag("incarnations", incarnations));
  return args;
}

std::string ProcessTitle(const std::string& program, const DriverRoleFlags& flags) {
  return program + " [job " + flags.job + ", driver]";
}

std::string ProcessTitle(const std::string& program, const ExecutorRoleFlags& flags) {
  return program + " [job " + flags.job + ", executor " + std::to_string(flags.executor) + "]";
}

std::string DescribeLine() {
  return std::string("{\"sluice\":\"") + kReleaseVersion +
         "\",\"protocol\":" + std::to_string(kProtocolVersion) + ",\"machine\":\"x86_64\"}";
}

absl::StatusOr<uint32_t> ParseDescribeLine(const std::string& line) {
  static constexpr char kKey[] = "\"protocol\":";
  size_t at = line.find(kKey);
  if (line.rfind("{\"sluice\":\"", 0) != 0 || at == line.npos) {
    return absl::InvalidArgumentError("not the description of a job binary");
  }
  size_t begin = at + sizeof(kKey) - 1;
  size_t end = line.find_first_not_of("0123456789", begin);
  uint32_t protocol = 0;
  if (end == line.npos || !ParseNumber(line.substr(begin, end - begin), 10, &protocol)) {
    return absl::InvalidArgumentError("not the description of a job binary");
  }
  return protocol;
}

}  // namespace sluice
