#include "sluice/job_store.h"

#include "checkpoint/checkpoint_url.h"
#include "checkpoint/memory_log_store.h"
#include "checkpoint/memory_object_store.h"
#include "checkpoint/rocksdb_state_part.h"
#include "common/status.h"

namespace sluice {
namespace {

JobStore InMemory() {
  JobStore store;
  store.log = std::make_unique<MemoryLogStore>();
  store.objects = std::make_unique<MemoryObjectStore>();
  store.codec = NewPlainStatePartCodec();
  return store;
}

}  // namespace

absl::StatusOr<JobStore> OpenJobStore(const DriverStoreOptions& options) {
  if (options.url.empty()) return InMemory();
  ASSIGN_OR_RETURN(const CheckpointUrl url, ParseCheckpointUrl(options.url));
  ASSIGN_OR_RETURN(DriverStore opened, OpenDriverStore(options));
  JobStore store;
  store.log = std::move(opened.log);
  store.objects = std::move(opened.objects);
  store.codec = DiskStateParts();
  store.url = url.text();
  store.known = opened.known;
  return store;
}

std::unique_ptr<StatePartCodec> DiskStateParts() { return NewRocksDbStatePartCodec(); }

}  // namespace sluice
