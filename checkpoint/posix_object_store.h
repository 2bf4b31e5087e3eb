// Objects as files under one directory.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/file_ops.h"
#include "checkpoint/object_store.h"

namespace sluice {

// Several processes may share the directory. An object is written aside in `root`/.aside, synced,
// linked to its name and its directory synced: a name is there whole or not at all.
class PosixObjectStore : public ObjectStore {
 public:
  // Makes the directories. `root` is absolute. Refused when a folder in it is on another mount,
  // where no hard link reaches.
  static absl::StatusOr<std::unique_ptr<PosixObjectStore>> Open(
      const std::string& root, FileOps* files = FileOps::Posix());

  absl::Status PutIfAbsent(const std::string& name, std::string_view bytes) override;
  absl::Status PutFileIfAbsent(const std::string& name, const std::string& path) override;
  absl::StatusOr<std::string> Get(const std::string& name) override;
  absl::StatusOr<std::vector<ObjectInfo>> List(const std::string& prefix) override;
  absl::Status Delete(const std::string& name) override;
  std::string Where() const override { return root_; }

  // Removes what crashed writers left in .aside more than `age_s` seconds ago. For the one process
  // that deletes.
  absl::Status SweepAside(int64_t age_s);

 private:
  PosixObjectStore(const std::string& root, FileOps* files);

  std::string PathOf(const std::string& name) const { return root_ + "/" + name; }
  std::string NewAsidePath();
  absl::Status Place(const std::string& aside, const std::string& name);

  const std::string root_;
  const std::string aside_;
  FileOps* const files_;
  const uint64_t random_;  // tells apart the writers of one directory
  std::atomic<uint64_t> counter_ = 0;
};

}  // namespace sluice
