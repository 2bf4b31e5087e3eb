#include "worker/daemon/executor_outputs.h"

#include <algorithm>
#include <system_error>
#include <vector>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr char kBefore[] = ".1";  // ends the name of what was printed before

struct Ended {
  fs::file_time_type written;
  std::string path;  // without kBefore
};

std::vector<Ended> EndedIn(const fs::path& folder, const std::set<std::string>& running) {
  std::vector<Ended> all;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code gone;
    std::string path = entry->path().string();
    const auto written = fs::last_write_time(entry->path(), gone);
    if (path.ends_with(kBefore)) path.resize(path.size() - (sizeof(kBefore) - 1));
    if (!gone && !running.contains(path)) all.push_back({written, std::move(path)});
  }
  // A pair is as new as the newer of the two, which comes first.
  std::sort(all.begin(), all.end(), [](const Ended& a, const Ended& b) {
    return a.path != b.path ? a.path < b.path : a.written > b.written;
  });
  const auto same = [](const Ended& a, const Ended& b) { return a.path == b.path; };
  all.erase(std::unique(all.begin(), all.end(), same), all.end());
  return all;
}

// Keeps the newest.
void RemoveBut(size_t kept, std::vector<Ended>& ended) {
  std::sort(ended.begin(), ended.end(),
            [](const Ended& a, const Ended& b) { return a.written > b.written; });
  for (; ended.size() > kept; ended.pop_back()) {
    std::error_code ignored;
    fs::remove(ended.back().path, ignored);
    fs::remove(ended.back().path + kBefore, ignored);
  }
}

}  // namespace

fs::path OutputOf(const fs::path& logs, const std::string& job, uint64_t epoch,
                  uint32_t executor) {
  return logs / job /
         ("executor-" + std::to_string(epoch) + "-" + std::to_string(executor) + ".log");
}

void RemoveOldOutputs(const fs::path& logs, const std::set<std::string>& running) {
  std::vector<Ended> all;
  std::vector<fs::path> folders;
  std::error_code error;
  fs::directory_iterator entry(logs, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::vector<Ended> ended = EndedIn(entry->path(), running);
    RemoveBut(kEndedOutputsOfAJob, ended);
    std::move(ended.begin(), ended.end(), std::back_inserter(all));
    folders.push_back(entry->path());
  }
  RemoveBut(kEndedOutputs, all);
  for (const fs::path& folder : folders) {
    std::error_code not_empty;
    fs::remove(folder, not_empty);
  }
}

}  // namespace sluice
