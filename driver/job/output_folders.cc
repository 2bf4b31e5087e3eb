#include "driver/job/output_folders.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/passing_error.h"

namespace sluice {
namespace {

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "?";
}

}  // namespace

OutputsMarked OutputFolders::Mark(const MarkOutputs& mark) {
  OutputsMarked marked;
  job_instance_ = mark.job_instance;
  for (const Output& output : graph_->outputs()) {
    if (!WritesFiles(output.kind)) continue;
    absl::Status status;
    if (!IsBucketUrl(output.prefix)) {
      status = MarkFolder(PlaceOf(output));
    } else if (mark.buckets) {
      status = TryBucket(&buckets_, output.prefix, output.suffix);
    }
    if (status.ok()) {
      marked.outputs.push_back(output.id);
      continue;
    }
    const std::string what = absl::StrCat(output.label, " to ", output.prefix, ", by the job "
                                          "driver on ", HostName(), ": ", status.message());
    if (MayPass(status)) {
      marked.passing.push_back("an output cannot be written just now: " + what);
    } else if (marked.refused.empty()) {
      marked.refused = "an output cannot be written; choose a prefix that all nodes of the "
                       "cluster may write to: " + what;
    }
  }
  return marked;
}

void OutputFolders::Unmark() {
  if (job_instance_ == 0) return;
  for (const Output& output : graph_->outputs()) {
    if (WritesFiles(output.kind) && !IsBucketUrl(output.prefix)) UnmarkFolder(PlaceOf(output));
  }
  job_instance_ = 0;
}

}  // namespace sluice
