// The driver log's slots in a RocksDB that one job driver alone opens.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/file_ops.h"
#include "checkpoint/log_store.h"

namespace rocksdb {
class Env;
}

namespace sluice {

struct RocksDbLogOptions {
  bool sync = true;  // off: appends do not survive a crash of the machine
  FileOps* files = FileOps::Posix();
  rocksdb::Env* env = nullptr;  // null: the default one
  // Called once the log is ours, before anything of it is looked at: whoever wants to discard it.
  // log.owner must stay.
  std::function<absl::Status()> owned = nullptr;
};

// Opens, making it if nothing was ever there, the log in `directory`/log, with its witness
// `directory`/log.witness and `directory`/log.owner, which holds the pid of the opener.
//
// Held (errors.h), with the pid if it is known, when a live process has it open. Damaged when
// RocksDB finds damage before the tail of its own log, when its files are missing, or when the
// witness cannot be read. A full disk is resource exhausted; the store opens itself anew when it
// is used again. Any other failed write or sync, of the log or of its witness, is final for this
// object (start again, or damaged where a compaction found damage): every later call gives the
// same error, until the log is opened anew.
absl::StatusOr<std::unique_ptr<LogStore>> OpenRocksDbLogStore(
    const std::string& directory, const RocksDbLogOptions& options = {});

}  // namespace sluice
