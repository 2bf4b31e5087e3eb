// The store that a checkpoint URL names: the one place where a scheme becomes a store.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/object_store.h"

namespace sluice {

// The objects of the checkpoint at `url` ("rocksdb:/dir": those in /dir/objects), for whoever reads
// or writes them: job driver, executors, worker daemons, commands. Takes no lock: several processes
// open the same one. Credentials come from the environment of the opener, never from the URL.
//
// Usage error or refused as ParseCheckpointUrl has it; unavailable when the store is out of reach.
absl::StatusOr<std::unique_ptr<ObjectStore>> OpenObjectStore(const std::string& url);

}  // namespace sluice
