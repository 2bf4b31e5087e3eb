#include "driver/job/directory_listing.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace sluice {
namespace {

namespace fs = std::filesystem;

int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Adds the files of one directory; directories beside them go to `directories`.
void ListOne(const std::string& path, const ListRules& rules, Listing& listing,
             std::vector<std::string>* directories) {
  std::error_code error;
  fs::directory_iterator entry(path, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    struct stat status;
    if (name.starts_with(".")) continue;
    if (stat(entry->path().c_str(), &status) != 0) {
      // It has left just now, or is a link to nowhere. Any other may be back: it has not left.
      if (errno == ENOENT || errno == ELOOP || errno == ENOTDIR) continue;
      listing.error = "cannot look at " + entry->path().string() + ": " + std::strerror(errno);
      return;
    }
    if (S_ISDIR(status.st_mode) && directories != nullptr) {
      directories->push_back(entry->path().string());
    }
    if (!S_ISREG(status.st_mode) || name == "_SUCCESS") continue;
    const int64_t modified_ns = Nanoseconds(status.st_mtim);
    const bool old = modified_ns < rules.from_ns;
    if (old && Nanoseconds(status.st_ctim) < rules.from_ns) continue;
    listing.files.push_back({entry->path().string(), static_cast<uint64_t>(status.st_size),
                             modified_ns, modified_ns > rules.to_ns, old});
  }
  if (error) listing.error = "cannot list " + path + ": " + error.message();
}

}  // namespace

Listing ListDirectory(const SourceSpec& source, const ListRules& rules) {
  Listing listing;
  std::vector<std::string> directories;
  const bool objects = source.file_format == FileFormat::kObjects;
  ListOne(source.directory, rules, listing, objects ? &directories : nullptr);
  for (const std::string& directory : directories) {
    std::error_code error;
    const bool whole = fs::exists(directory + "/_SUCCESS", error);
    if (error) listing.error = "cannot look into " + directory + ": " + error.message();
    if (whole) ListOne(directory, rules, listing, nullptr);
  }
  std::sort(listing.files.begin(), listing.files.end(),
            [](const ListedFile& a, const ListedFile& b) { return a.path < b.path; });
  return listing;
}

}  // namespace sluice
