#include "sluice/job_store.h"

#include <filesystem>
#include <fstream>

#include "checkpoint/checkpoint_url.h"
#include "checkpoint/errors.h"
#include "checkpoint/memory_log_store.h"
#include "checkpoint/memory_object_store.h"
#include "checkpoint/open_store.h"
#include "checkpoint/rocksdb_log_store.h"
#include "checkpoint/rocksdb_state_part.h"
#include "common/status.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// There from a job's first start on, so that a log that is gone is not taken for a new job.
constexpr char kMarker[] = "/job";

JobStore InMemory() {
  JobStore store;
  store.log = std::make_unique<MemoryLogStore>();
  store.objects = std::make_unique<MemoryObjectStore>();
  store.codec = NewPlainStatePartCodec();
  return store;
}

absl::Status Discard(const std::string& directory) {
  std::error_code error;
  for (const char* name : {"/log", "/log.witness", "/log.owner", "/objects", kMarker}) {
    fs::remove_all(directory + name, error);
    if (error) {
      return absl::UnavailableError("cannot discard " + directory + name + ": " + error.message());
    }
  }
  return absl::OkStatus();
}

absl::Status Mark(const std::string& directory) {
  std::ofstream marker(directory + kMarker);
  marker << "A Sluice job keeps its log and its checkpoints here.\n";
  marker.close();
  return marker.good() ? absl::OkStatus()
                       : absl::UnavailableError("cannot write " + directory + kMarker);
}

}  // namespace

absl::StatusOr<JobStore> OpenJobStore(const JobStoreOptions& options) {
  if (options.url.empty()) return InMemory();
  ASSIGN_OR_RETURN(const CheckpointUrl url, ParseCheckpointUrl(options.url));
  const std::string& directory = url.directory;
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return RefusedError("cannot make " + directory + ": " + error.message());
  JobStore store;
  store.known = fs::exists(directory + kMarker);
  if (store.known && options.fresh && !options.discard_checkpoint) {
    return RefusedError("a checkpoint exists in " + directory +
                        "; --fresh needs --discard-checkpoint to give it up");
  }
  // The log's lock is taken first, so that a live job is never discarded under its feet.
  RocksDbLogOptions log_options;
  log_options.sync = options.sync;
  ASSIGN_OR_RETURN(store.log, OpenRocksDbLogStore(directory, log_options));
  if (store.known && options.fresh) {
    store.log.reset();
    RETURN_IF_ERROR(Discard(directory));
    store.known = false;
    ASSIGN_OR_RETURN(store.log, OpenRocksDbLogStore(directory, log_options));
  }
  RETURN_IF_ERROR(Mark(directory));
  store.url = url.text();
  ASSIGN_OR_RETURN(store.objects, OpenObjectStore(store.url));
  store.codec = DiskStateParts();
  return store;
}

std::unique_ptr<StatePartCodec> DiskStateParts() { return NewRocksDbStatePartCodec(); }

}  // namespace sluice
