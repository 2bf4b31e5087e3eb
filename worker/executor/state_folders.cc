#include "worker/executor/state_folders.h"

#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "state-";

// The process that a folder of this name is of.
std::optional<int64_t> PidOf(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const char* const end = name.data() + name.size();
  int64_t pid = 0;
  uint64_t number = 0;
  const auto [dash, error] = std::from_chars(name.data() + kPrefix.size(), end, pid);
  if (error != std::errc() || dash == end || *dash != '-' || pid <= 0) return std::nullopt;
  const auto [last, number_error] = std::from_chars(dash + 1, end, number);
  if (number_error != std::errc() || last != end) return std::nullopt;
  return pid;
}

}  // namespace

std::string StateFolder(const std::string& parent, int64_t pid, uint64_t number) {
  return parent + "/" + std::string(kPrefix) + std::to_string(pid) + "-" + std::to_string(number);
}

void RemoveStateFolders(const std::string& parent, const std::function<bool(int64_t pid)>& of) {
  std::error_code error;
  std::vector<fs::path> gone;
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    const std::optional<int64_t> pid = PidOf(it->path().filename().string());
    if (pid.has_value() && of(*pid)) gone.push_back(it->path());
  }
  for (const fs::path& folder : gone) fs::remove_all(folder, error);
}

}  // namespace sluice
