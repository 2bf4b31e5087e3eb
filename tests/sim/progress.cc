#include "tests/sim/progress.h"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>

#include "common/crc32c.h"

namespace sluice::sim {
namespace {

// The last line of a whole file.
constexpr char kEnd[] = "end";

}  // namespace

uint64_t ThisBuild() {
  std::ifstream self("/proc/self/exe", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(self), {}};
  return (uint64_t{bytes.size()} << 32) | Crc32c(bytes);
}

bool KeepProgress(const std::string& path, const Progress& progress) {
  const SeedsResult& result = progress.result;
  const std::string fresh = path + ".new";
  {
    std::ofstream out(fresh, std::ios::trunc);
    out << "build " << progress.build << "\nfirst " << progress.first << "\nnext "
        << progress.next << "\nseeds " << result.seeds << "\nevents " << result.events
        << "\nvirtual_ms " << static_cast<uint64_t>(result.virtual_s * 1000) << '\n';
    for (const auto& [what, times] : result.counters) {
      out << "counter " << times << ' ' << what << '\n';
    }
    for (const auto& [seed, what] : result.broken) {
      out << "broken " << seed << ' ' << what << '\n';
    }
    out << kEnd << '\n';
    out.close();
    if (!out) return false;
  }
  return std::rename(fresh.c_str(), path.c_str()) == 0;
}

std::optional<Progress> FindProgress(const std::string& path, std::string* error) {
  error->clear();
  std::ifstream in(path);
  if (!in) return std::nullopt;
  Progress progress;
  SeedsResult& result = progress.result;
  std::string line;
  bool whole = false;
  while (!whole && std::getline(in, line)) {
    if (line == kEnd) {
      whole = true;
      continue;
    }
    std::istringstream words(line);
    std::string fact, what;
    uint64_t number = 0;
    words >> fact >> number;
    std::getline(words >> std::ws, what);
    if (fact == "build") progress.build = number;
    if (fact == "first") progress.first = number;
    if (fact == "next") progress.next = number;
    if (fact == "seeds") result.seeds = number;
    if (fact == "events") result.events = number;
    if (fact == "virtual_ms") result.virtual_s = static_cast<double>(number) / 1000;
    if (fact == "counter") result.counters[what] = number;
    if (fact == "broken") result.broken.emplace_back(number, what);
  }
  if (whole && progress.first != 0 && progress.next >= progress.first) return progress;
  *error = path + " is not a whole record of seeds";
  return std::nullopt;
}

}  // namespace sluice::sim
