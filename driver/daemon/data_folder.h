// The driver daemon's folder: one owner at a time, the job table, and a folder per run of a job.
//
//   LOCK                     held by the daemon that owns the folder
//   NODE                     16 hex digits, random, for the life of the folder
//   jobs.table               magic, checksum, an encoded proto::JobTable
//   binaries/                see binary_store.h
//   jobs/NAME/RUN/           `--sluice-data` of the job's driver; work/ is where it works
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/job_table.pb.h"

namespace sluice::daemon {

// One thread at a time, except for the constant members.
class DataFolder {
 public:
  // FailedPrecondition: another live daemon has it (named). Internal: it cannot be made.
  static absl::StatusOr<std::unique_ptr<DataFolder>> Open(const std::string& root);
  ~DataFolder();  // gives the lock back

  // Empty when there never was one; DataLoss, with the file, when it is damaged.
  absl::StatusOr<proto::JobTable> LoadTable() const;
  // Written aside, synced, renamed: the old table or the new one, never half of one.
  absl::Status SaveTable(const proto::JobTable& table) const;

  // What NODE holds; made when it is not there.
  absl::StatusOr<std::string> Node() const;

  // Makes the folder of a run with its work/, and removes the job's other runs.
  absl::StatusOr<std::string> MakeRun(const std::string& job, const std::string& run) const;
  // Removes all of the job's runs. What cannot be removed costs space only.
  void RemoveRuns(const std::string& job) const;
  std::string RunFolder(const std::string& job, const std::string& run) const;
  std::string binaries() const { return root_ + "/binaries"; }
  const std::string& root() const { return root_; }

 private:
  DataFolder(std::string root, int lock) : root_(std::move(root)), lock_(lock) {}
  std::string TablePath() const { return root_ + "/jobs.table"; }
  const std::string root_;
  const int lock_;
};

// The exit code that a job driver left in its run's folder, or -1.
int ReadExitCode(const std::string& run_folder);
// The last line, at most 500 bytes of it, of what it printed.
std::string LastLineOfOutput(const std::string& run_folder);

}  // namespace sluice::daemon
