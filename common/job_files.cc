#include "common/job_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>

#include "common/names.h"
#include "common/status.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr char kAside[] = ".incoming";  // no file of a job is called like that
constexpr size_t kDigestChars = 64;
constexpr std::string_view kBetween = "  ";
constexpr size_t kFileBytesMax = kJobFilesMax * (kDigestChars + kBetween.size() + 100 + 1);

bool IsNumber(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

// state-PID-N
bool NamesStateFolder(std::string_view name) {
  constexpr std::string_view kPrefix = "state-";
  if (!name.starts_with(kPrefix)) return false;
  const std::string_view numbers = name.substr(kPrefix.size());
  const size_t dash = std::min(numbers.find('-'), numbers.size());
  return IsNumber(numbers.substr(0, dash)) &&
         IsNumber(numbers.substr(std::min(dash + 1, numbers.size())));
}

absl::StatusOr<std::vector<JobFile>> Parse(std::string_view text) {
  std::vector<JobFile> files;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.size() == text.size() || line.size() <= kDigestChars + kBetween.size() ||
        line.substr(kDigestChars, kBetween.size()) != kBetween) {
      return absl::InvalidArgumentError("a line without digest and name");
    }
    files.push_back({std::string(line.substr(kDigestChars + kBetween.size())),
                     std::string(line.substr(0, kDigestChars))});
    text.remove_prefix(line.size() + 1);
  }
  RETURN_IF_ERROR(CheckJobFiles(files));
  return files;
}

}  // namespace

absl::Status CheckJobFileName(std::string_view name) {
  const std::string shown = ": '" + std::string(name) + "'";
  if (!IsName(name)) {
    return absl::InvalidArgumentError(
        "a file name is 1 to 100 of A-Z a-z 0-9 . _ - and starts with no dot" + shown);
  }
  if (NamesStateFolder(name)) {
    return absl::InvalidArgumentError("executors give such names to folders of their own" + shown);
  }
  return absl::OkStatus();
}

absl::Status CheckJobFiles(const std::vector<JobFile>& files) {
  if (files.size() > kJobFilesMax) {
    return absl::FailedPreconditionError("too many files for one job");
  }
  std::set<std::string_view> names;
  for (const JobFile& file : files) {
    RETURN_IF_ERROR(CheckJobFileName(file.name));
    if (!names.insert(file.name).second) {
      return absl::InvalidArgumentError("two files of one name for a job: " + file.name);
    }
    if (!IsDigest(file.digest)) {
      return absl::InvalidArgumentError("a file without its digest: " + file.name);
    }
  }
  return absl::OkStatus();
}

absl::Status WriteJobFiles(const std::string& folder, const std::vector<JobFile>& files) {
  const std::string path = folder + "/" + kJobFilesFile;
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  for (const JobFile& file : files) out << file.digest << kBetween << file.name << "\n";
  out.close();
  return out.good() ? absl::OkStatus() : absl::InternalError("cannot write " + path);
}

absl::StatusOr<std::vector<JobFile>> ReadJobFiles(const std::string& folder) {
  const std::string path = folder + "/" + kJobFilesFile;
  std::ifstream in(path, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.is_open() || in.bad()) {
    return absl::InternalError("cannot read which files the job has: " + path);
  }
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kFileBytesMax) return absl::InternalError("too long: " + path);
  auto files = Parse(text);
  if (files.ok()) return files;
  return absl::InternalError(path + ": " + std::string(Message(files.status())));
}

absl::Status PutJobFile(const std::string& from, const std::string& folder,
                        const std::string& name) {
  const fs::path to = fs::path(folder) / name;
  const fs::path aside = fs::path(folder) / kAside;
  std::error_code error;
  fs::remove_all(aside, error);
  if (!error) fs::copy_file(from, aside, fs::copy_options::none, error);
  if (!error) fs::permissions(aside, fs::perms::owner_read | fs::perms::owner_write, error);
  if (!error) fs::rename(aside, to, error);
  if (!error) return absl::OkStatus();
  std::error_code ignored;
  fs::remove_all(aside, ignored);
  return absl::InternalError(error.message() + ": " + to.string());
}

}  // namespace sluice
