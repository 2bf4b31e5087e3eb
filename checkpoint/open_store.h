// The stores that a checkpoint URL names: the one place where a scheme becomes a store.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/log_store.h"
#include "checkpoint/object_store.h"

namespace sluice {

// The objects of the checkpoint at `url` ("rocksdb:/dir": those in /dir/objects; "s3://…": those of
// the job's present life), for whoever reads or writes them: executors, worker daemons, commands.
// Takes no lock: several processes open the same one. Keys come from the environment of the opener,
// never from the URL.
//
// Usage error or refused as ParseCheckpointUrl has it; not found when no job has a checkpoint
// there, or its directory is not mounted here; PermissionDenied without keys; unavailable when the
// store is out of reach.
absl::StatusOr<std::unique_ptr<ObjectStore>> OpenObjectStore(const std::string& url);

struct DriverStoreOptions {
  std::string url = {};
  std::string log_url = {};         // of the log where it is elsewhere ("rocksdb:/dir"), or empty
  bool sync = true;                 // as in RocksDbLogOptions
  bool fresh = false;               // a new job, refused where one has lived
  bool discard_checkpoint = false;  // with fresh: delete that one first
  bool must_exist = false;          // a job has lived here: a store without it is damaged
};

struct DriverStore {
  std::unique_ptr<LogStore> log;
  std::unique_ptr<ObjectStore> objects;
  bool known = false;  // a job has lived here before
};

// Log and objects for the job driver, made if nothing was there. Held by another process: exit 7;
// refused: 3; damaged: 8 (errors.h); and as OpenObjectStore.
absl::StatusOr<DriverStore> OpenDriverStore(const DriverStoreOptions& options);

}  // namespace sluice
