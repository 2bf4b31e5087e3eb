// The configuration of a job: one table of keys, and for each key who set it and what that beat.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "common/exit_code.h"

namespace sluice {

enum class ConfKind { kDuration, kBytes, kNumber, kChoice, kPath, kDirectoryUrl };

struct ConfKey {
  std::string_view name;
  ConfKind kind;
  std::string_view otherwise;  // the default as text; in parentheses when it is computed
  std::string_view meaning;
  int64_t least = 0;           // of durations (ms), sizes (bytes) and numbers
  int64_t most = INT64_MAX;
  std::string_view choices = "";  // "on|off"; what is not a choice is refused
};

std::span<const ConfKey> ConfKeys();

// Who set a value; later ones beat earlier ones.
enum class ConfSource { kDefault, kProgram, kFile, kEnvironment, kFlag };

// Thread-compatible. Values are checked when they are set, so that reading cannot fail. Errors:
// kExitRefused for an unknown key (the nearest is offered), kExitUsage for a malformed value.
class Config {
 public:
  ExitStatus Set(ConfSource source, std::string_view key, std::string_view value);
  // "k=v", as behind --conf.
  ExitStatus SetFlag(std::string_view assignment);
  // Lines `k = v`; empty ones and those that begin with # are skipped. Errors name file and line.
  ExitStatus ReadFile(const std::string& path);
  // SLUICE_KEY for every key. What is nearly a key counts as one misspelled; other variables that
  // begin with SLUICE_ are not ours to judge.
  ExitStatus ReadEnvironment(char** environment);

  // The value that counts, as text. For computed defaults empty, except those below.
  std::string Text(std::string_view key) const;
  int64_t DurationMs(std::string_view key) const;  // block_interval follows batch_interval
  int64_t Bytes(std::string_view key) const;       // a percentage is of the machine's memory
  int64_t Number(std::string_view key) const;      // 0 where the default is computed or none
  bool On(std::string_view key) const { return Text(key) == "on"; }
  bool IsSet(std::string_view key) const;          // by anybody

  // All that was set, by anybody: what travels to executors.
  std::map<std::string, std::string> Values() const;
  // One line per key: value, source, and what it beat.
  std::string Explain() const;

 private:
  // By key, then by source.
  std::map<std::string, std::map<ConfSource, std::string>, std::less<>> values_;
};

}  // namespace sluice
