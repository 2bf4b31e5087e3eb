// Reads along in a driver log that a live process may be writing, without taking it over: for
// tools and tests that want to know what a job has decided so far.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/log_chain.h"

namespace rocksdb {
class DB;
}

namespace sluice {

struct FollowedRecord {
  LogRecord record;
  bool live = false;  // void records belong to the chain, but what they say does not count
};

// Not thread-safe. Never writes to the log, takes no lock of it, and holds no driver up.
class RocksDbLogFollower {
 public:
  // Follows `directory`/log from that slot. `scratch` is a folder for RocksDB's own messages.
  RocksDbLogFollower(std::string directory, std::string scratch, uint64_t first_slot = 1);
  ~RocksDbLogFollower();

  // The records that were synced since the last call, in order. Damaged: they do not follow each
  // other, or the first slot was collected before it was read. Any other error may pass: call
  // again.
  absl::StatusOr<std::vector<FollowedRecord>> CatchUp();

 private:
  absl::Status Refresh();
  absl::StatusOr<std::vector<FollowedRecord>> ReadNew();

  const std::string path_;
  const std::string scratch_;
  LogChain chain_;
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace sluice
