#include "common/config.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <fstream>
#include <optional>
#include <vector>

#include "common/nearest.h"
#include "common/units.h"

namespace sluice {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr ConfKey kKeys[] = {
    {"batch_interval", ConfKind::kDuration, "(set by the program)", "the tick", 5, kDayMs},
    {"block_interval", ConfKind::kDuration, "(min(200ms, batch_interval / 2))",
     "receiver chunking, beside the seal at each tick", 1, kDayMs},
    {"partitions", ConfKind::kNumber, "(slots of the cluster at the first start, times 4)",
     "of shuffles and sources without a count of their own", 1, 65536},
    {"key_groups", ConfKind::kNumber, "1024", "fixed for the life of a checkpoint", 1, 65536},
    {"replication", ConfKind::kNumber, "2", "copies of a received block", 1, 16},
    {"replication_min", ConfKind::kNumber, "1",
     "copies below which a block is not acknowledged", 1, 16},
    {"received_log", ConfKind::kChoice, "off",
     "also write received blocks to the checkpoint store", 0, 0, "on|off"},
    {"accept_loss", ConfKind::kChoice, "off",
     "of a local job: go on without received blocks that are lost, of whatever source", 0, 0,
     "on|off"},
    {"recovery", ConfKind::kChoice, "rollback",
     "of lost state: decided batches run again, or their changes are kept with workers", 0, 0,
     "rollback|deltas"},
    {"state_backend", ConfKind::kChoice, "memory",
     "of decided state in executors: in memory, or in a database on their disk", 0, 0,
     "memory|rocksdb"},
    {"state_memory", ConfKind::kBytes, "64MiB",
     "of each executor's state with state_backend=rocksdb, beside what is undecided", 4 << 20},
    {"checkpoint_interval", ConfKind::kDuration, "10s", "state checkpoints", 1, kDayMs},
    {"log_sync", ConfKind::kChoice, "on", "off trades power-loss safety for latency", 0, 0,
     "on|off"},
    {"log_url", ConfKind::kDirectoryUrl, "(with the checkpoint)",
     "of a log apart from a checkpoint in s3://"},
    {"task_max_failures", ConfKind::kNumber, "4", "attempts that the task itself spoiled", 1,
     1000},
    {"task_timeout", ConfKind::kDuration, "10m",
     "then the task's executor is ended; not in a local job", 1, 30 * kDayMs},
    {"straggler_copies", ConfKind::kChoice, "off",
     "run map tasks that take much longer than others once more elsewhere", 0, 0, "on|off"},
    {"on_batch_failure", ConfKind::kChoice, "stop", "stop, or skip and count", 0, 0, "stop|skip"},
    {"bad_records", ConfKind::kChoice, "stop",
     "at which user code throws: they fail the batch, or are set aside", 0, 0, "stop|aside"},
    {"bad_records_max", ConfKind::kNumber, "100",
     "records and keys that a batch may set aside; with more it fails", 1, 100'000},
    {"driver_restarts", ConfKind::kNumber, "10",
     "relaunches of a job driver in a row without a decided batch", 0, 1'000'000},
    {"worker_lease", ConfKind::kDuration, "5s", "silence after which a worker counts as lost",
     50, kDayMs},
    {"drain_deadline", ConfKind::kDuration, "30s", "one deadline for the whole drain", 1,
     30 * kDayMs},
    {"block_memory", ConfKind::kBytes, "25%", "of received blocks; beyond it they go to spill_dir",
     1 << 20},
    {"spill_dir", ConfKind::kPath, "(a worker's data directory)",
     "of blocks beyond block_memory; a local job without it waits for a checkpoint"},
    {"max_rate", ConfKind::kNumber, "none", "records/s per receiver", 1},
    {"backpressure", ConfKind::kChoice, "on", "automatic rate of receivers", 0, 0, "on|off"},
    {"initial_rate", ConfKind::kNumber, "20000",
     "records/s per receiver at first; batches that are in time let it grow fourfold each. 0: none",
     0},
    {"push_producer_expiry", ConfKind::kDuration, "168h",
     "of running without a record of it, then a producer of a push stream is forgotten",
     3'600'000,
     3650 * kDayMs},
    {"push_producers_max", ConfKind::kNumber, "100000",
     "producers that a push stream knows; beyond it a new one is refused", 1, 10'000'000},
    {"file_settle", ConfKind::kDuration, "0ms", "a file younger than this is not taken yet", 0,
     kDayMs},
    {"max_batch_input", ConfKind::kBytes, "none", "bytes of files that a batch may take", 1},
};

const ConfKey* FindKey(std::string_view name) {
  const auto* found = std::find_if(std::begin(kKeys), std::end(kKeys),
                                   [&](const ConfKey& key) { return key.name == name; });
  return found == std::end(kKeys) ? nullptr : found;
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const ConfKey& key : kKeys) names.emplace_back(key.name);
  return names;
}

bool IsChoice(std::string_view choices, std::string_view value) {
  while (!choices.empty()) {
    const std::string_view choice = choices.substr(0, choices.find('|'));
    if (choice == value) return true;
    choices.remove_prefix(std::min(choices.size(), choice.size() + 1));
  }
  return false;
}

int64_t MemoryBytes() {
  return int64_t{sysconf(_SC_PHYS_PAGES)} * int64_t{sysconf(_SC_PAGE_SIZE)};
}

std::optional<int64_t> ParseSize(std::string_view text) {
  if (text.empty() || text.back() != '%') return ParseBytes(text);
  text.remove_suffix(1);
  const std::optional<int64_t> percent = ParseWhole(text);
  if (!percent || *percent < 1 || *percent > 100) return std::nullopt;
  return MemoryBytes() / 100 * *percent;
}

std::optional<int64_t> ParseAmount(ConfKind kind, std::string_view text) {
  switch (kind) {
    case ConfKind::kDuration: return ParseDurationMs(text);
    case ConfKind::kBytes: return ParseSize(text);
    case ConfKind::kNumber: return ParseWhole(text);
    default: return std::nullopt;
  }
}

std::string Expected(const ConfKey& key) {
  switch (key.kind) {
    case ConfKind::kDuration:
      return "a duration from " + FormatDurationMs(key.least) + " to " +
             FormatDurationMs(key.most) + ", as 200ms, 1s, 5m";
    case ConfKind::kBytes: return "a size, as 64MiB";
    case ConfKind::kNumber:
      return "a number from " + std::to_string(key.least) + " to " + std::to_string(key.most);
    case ConfKind::kChoice: return "one of " + std::string(key.choices);
    case ConfKind::kPath: return "an absolute path";
    case ConfKind::kDirectoryUrl: return "rocksdb:/absolute/dir";
  }
  return "";
}

bool Takes(const ConfKey& key, std::string_view value) {
  if (value == "none" && key.otherwise == "none") return true;
  if (key.kind == ConfKind::kChoice) return IsChoice(key.choices, value);
  if (key.kind == ConfKind::kPath) return !value.empty() && value.front() == '/';
  if (key.kind == ConfKind::kDirectoryUrl) return value.starts_with("rocksdb:/");
  const std::optional<int64_t> amount = ParseAmount(key.kind, value);
  return amount && *amount >= key.least && *amount <= key.most;
}

std::string_view NameOf(ConfSource source) {
  switch (source) {
    case ConfSource::kDefault: return "default";
    case ConfSource::kProgram: return "program";
    case ConfSource::kFile: return "--conf-file";
    case ConfSource::kEnvironment: return "environment";
    case ConfSource::kFlag: return "--conf";
  }
  return "";
}

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == text.npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

}  // namespace

std::span<const ConfKey> ConfKeys() { return kKeys; }

ExitStatus Config::Set(ConfSource source, std::string_view name, std::string_view value) {
  const ConfKey* key = FindKey(name);
  if (key == nullptr) {
    return {kExitRefused, "unknown configuration key: " + std::string(name) +
                              DidYouMean(name, Names())};
  }
  if (!Takes(*key, value)) {
    return {kExitUsage, "malformed configuration value, expected " + Expected(*key) + ": " +
                            std::string(name) + "=" + std::string(value)};
  }
  values_[std::string(name)][source] = value;
  return {};
}

ExitStatus Config::SetFlag(std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == assignment.npos || equals == 0) {
    return {kExitUsage, "malformed --conf, expected KEY=VALUE: " + std::string(assignment)};
  }
  return Set(ConfSource::kFlag, assignment.substr(0, equals), assignment.substr(equals + 1));
}

ExitStatus Config::ReadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return {kExitUsage, "cannot read the configuration file: " + path};
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const std::string_view text = Trimmed(line);
    if (text.empty() || text.front() == '#') continue;
    const std::string where = " (" + path + " line " + std::to_string(number) + ")";
    const size_t equals = text.find('=');
    if (equals == text.npos) return {kExitUsage, "expected KEY = VALUE" + where};
    ExitStatus status = Set(ConfSource::kFile, Trimmed(text.substr(0, equals)),
                            Trimmed(text.substr(equals + 1)));
    if (!status.ok()) return {status.code, status.message + where};
  }
  if (file.bad()) return {kExitUsage, "cannot read the configuration file: " + path};
  return {};
}

ExitStatus Config::ReadEnvironment(char** environment) {
  constexpr std::string_view kPrefix = "SLUICE_";
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    const size_t equals = entry.find('=');
    if (equals == entry.npos || entry.substr(0, kPrefix.size()) != kPrefix) continue;
    std::string key(entry.substr(kPrefix.size(), equals - kPrefix.size()));
    for (char& c : key) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (FindKey(key) == nullptr) {
      // Two edits of a long name are a slip; a short one may well be another variable.
      if (key.size() < 6 || NearestName(key.substr(0, 200), Names(), 2).empty()) continue;
    }
    ExitStatus status = Set(ConfSource::kEnvironment, key, entry.substr(equals + 1));
    if (!status.ok()) {
      return {status.code, status.message + " (variable " + std::string(entry.substr(0, equals)) +
                               ")"};
    }
  }
  return {};
}

bool Config::IsSet(std::string_view key) const { return values_.find(key) != values_.end(); }

std::string Config::Text(std::string_view name) const {
  auto found = values_.find(name);
  if (found != values_.end()) return found->second.rbegin()->second;
  const ConfKey* key = FindKey(name);
  if (key == nullptr || key->otherwise.front() == '(') return "";
  return std::string(key->otherwise);
}

int64_t Config::DurationMs(std::string_view key) const {
  if (key == "block_interval" && !IsSet(key)) {
    return std::max<int64_t>(1, std::min<int64_t>(200, DurationMs("batch_interval") / 2));
  }
  return ParseDurationMs(Text(key)).value_or(0);
}

int64_t Config::Bytes(std::string_view key) const { return ParseSize(Text(key)).value_or(0); }

int64_t Config::Number(std::string_view key) const { return ParseWhole(Text(key)).value_or(0); }

std::map<std::string, std::string> Config::Values() const {
  std::map<std::string, std::string> all;
  for (const auto& [key, sources] : values_) all[key] = sources.rbegin()->second;
  return all;
}

std::string Config::Explain() const {
  std::string text;
  for (const ConfKey& key : kKeys) {
    text += std::string(key.name) + " = ";
    auto found = values_.find(key.name);
    if (found == values_.end()) {
      text += std::string(key.otherwise) + "  [default]\n";
      continue;
    }
    auto at = found->second.rbegin();
    text += at->second + "  [" + std::string(NameOf(at->first)) + "]  beats";
    for (++at; at != found->second.rend(); ++at) {
      text += " " + at->second + " [" + std::string(NameOf(at->first)) + "],";
    }
    text += " " + std::string(key.otherwise) + " [default]\n";
  }
  return text;
}

}  // namespace sluice
