// What listings of directories say of files that were taken before: which have changed since,
// which have left and may be forgotten, and which directory cannot be listed.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/plan/stages.h"
#include "driver/job/commands.h"
#include "driver/job/job_state.h"

namespace sluice {

// Not thread-safe.
class FileWatch {
 public:
  // A file that has left is forgotten when so many checkpoints have been sealed since: no kept one
  // is from a time when it was there.
  static constexpr int kSealsUntilForgotten = 3;

  FileWatch(const StagePlan& plan, const JobState* state) : plan_(plan), state_(state) {}

  void OnListed(const SourcesListed& listed, std::vector<DriverCommand>& out);
  // A further checkpoint is sealed: the files that may be forgotten now. Each is given once.
  std::vector<proto::TakenFile> OnSealed();

  // Files that had another size or time than when they were taken; each counts once.
  uint64_t changed_files() const { return changed_files_; }
  // What stands in the way of listing a directory at the moment; empty: nothing.
  std::string problem() const;

 private:
  using FileKey = std::pair<uint32_t, std::string>;  // stage and path
  void Compare(StageId stage, const std::vector<ListedFile>& files,
               std::vector<DriverCommand>& out);

  const StagePlan& plan_;
  const JobState* state_;
  uint64_t changed_files_ = 0;
  std::set<FileKey> changed_;                // warned of
  std::map<FileKey, int> gone_;              // and how many checkpoints were sealed since
  std::map<uint32_t, std::string> problems_;  // by source node
};

}  // namespace sluice
