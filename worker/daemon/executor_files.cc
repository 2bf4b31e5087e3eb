#include "worker/daemon/executor_files.h"

#include <vector>

#include "common/job_files.h"
#include "common/status.h"

namespace sluice {
absl::Status PutFiles(const proto::StartExecutor& request, const std::string& folder,
                      BinaryCache* cache) {
  std::vector<JobFile> files;
  for (const auto& file : request.files()) files.push_back({file.name(), file.digest()});
  RETURN_IF_ERROR(CheckJobFiles(files));
  for (const JobFile& file : files) {
    const auto cached = cache->Get(file.digest);
    absl::Status put = cached.status();
    if (put.ok()) put = PutJobFile(*cached, folder, file.name);
    if (!put.ok()) return Annotate(put, "the job's file " + file.name + " cannot be put there");
  }
  return absl::OkStatus();
}

}  // namespace sluice
