#include "worker/daemon/executor_files.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "common/job_files.h"
#include "common/status.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr char kAside[] = ".incoming";  // no file of a job is called like that

// A copy that is cut has no name, and what the job left at this place is not written through.
absl::Status PutCopy(const fs::path& from, const fs::path& folder, const std::string& name) {
  const fs::path aside = folder / kAside;
  std::error_code error;
  fs::remove_all(aside, error);
  if (!error) fs::copy_file(from, aside, fs::copy_options::none, error);
  if (!error) fs::permissions(aside, fs::perms::owner_read | fs::perms::owner_write, error);
  if (!error) fs::rename(aside, folder / name, error);
  if (!error) return absl::OkStatus();
  std::error_code ignored;
  fs::remove_all(aside, ignored);
  return absl::InternalError(error.message() + ": " + (folder / name).string());
}

}  // namespace

absl::Status PutFiles(const proto::StartExecutor& request, const std::string& folder,
                      BinaryCache* cache) {
  std::vector<JobFile> files;
  for (const auto& file : request.files()) files.push_back({file.name(), file.digest()});
  RETURN_IF_ERROR(CheckJobFiles(files));
  for (const JobFile& file : files) {
    const auto cached = cache->Get(file.digest);
    absl::Status put = cached.status();
    if (put.ok()) put = PutCopy(*cached, folder, file.name);
    if (!put.ok()) return Annotate(put, "the job's file " + file.name + " cannot be put there");
  }
  return absl::OkStatus();
}

}  // namespace sluice
