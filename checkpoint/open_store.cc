#include "checkpoint/open_store.h"

#include <filesystem>
#include <fstream>
#include <random>
#include <utility>

#include "checkpoint/checkpoint_url.h"
#include "checkpoint/errors.h"
#include "checkpoint/file_ops.h"
#include "checkpoint/posix_object_store.h"
#include "checkpoint/rocksdb_log_store.h"
#include "checkpoint/s3_life.h"
#include "common/status.h"
#include "glog/logging.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// There from a job's first start on, so that a log that is gone is not taken for a new job.
constexpr char kMarker[] = "/job";
constexpr char kMarkerText[] = "A Sluice job keeps its log and its checkpoints here.\n";
constexpr char kCurrent[] = "/log/CURRENT";  // made with the log
constexpr char kLogMarker[] = "A Sluice job keeps its log here and its checkpoints in ";

constexpr int64_t kAsideLeftS = 3'600;  // no writer is at one object for so long

// A log in a directory of the driver's node.
struct LocalLog {
  std::unique_ptr<LogStore> log;
  bool known = false;
};

// May end anywhere, and is begun again: until the marker is gone, a job is known to have lived
// here. A witness without its log would be damage. The owner's lock stays: it is ours.
absl::Status Discard(const std::string& directory) {
  std::error_code error;
  for (const char* name : {"/log.witness", "/log", "/objects", kMarker}) {
    fs::remove_all(directory + name, error);
    if (error) {
      return absl::UnavailableError("cannot discard " + directory + name + ": " + error.message());
    }
  }
  return absl::OkStatus();
}

// Empty: there is none, or it was cut short by a full disk.
absl::StatusOr<std::string> MarkerOf(const std::string& directory) {
  absl::StatusOr<std::string> marker = FileOps::Posix()->Read(directory + kMarker);
  if (absl::IsNotFound(marker.status())) return std::string();
  return marker;
}

absl::Status Mark(const std::string& directory, const std::string& text) {
  ASSIGN_OR_RETURN(const std::string former, MarkerOf(directory));
  if (former == text) return absl::OkStatus();
  const std::string path = directory + kMarker;
  std::ofstream marker(path);
  marker << text;
  marker.close();
  if (!marker.good()) return absl::UnavailableError("cannot write " + path);
  absl::Status synced = FileOps::Posix()->SyncFile(path);
  if (synced.ok()) synced = FileOps::Posix()->SyncDirectory(directory);
  if (!synced.ok()) (void)FileOps::Posix()->Remove(path);  // the next try does not trust it
  return synced;
}

absl::Status LostLog(const std::string& where) {
  return DamagedError("the log of this job, which has run before, is not at " + where +
                      " as this node sees it");
}

// Unavailable when nobody can tell: a mount whose server is away has lost nothing.
absl::StatusOr<bool> IsThere(const std::string& path) {
  std::error_code error;
  const bool there = fs::exists(path, error);
  if (error) return absl::UnavailableError("cannot look for " + path + ": " + error.message());
  return there;
}

absl::StatusOr<LocalLog> OpenLocalLog(const std::string& directory,
                                      const DriverStoreOptions& options) {
  LocalLog opened;
  if (options.must_exist) {
    ASSIGN_OR_RETURN(opened.known, IsThere(directory + kMarker));
    if (!opened.known) return LostLog(directory);
  } else {
    std::error_code error;
    fs::create_directories(directory, error);
    if (error) return RefusedError("cannot make " + directory + ": " + error.message());
    opened.known = fs::exists(directory + kMarker, error);
    if (error) return RefusedError("cannot look into " + directory + ": " + error.message());
  }
  if (opened.known && options.fresh && !options.discard_checkpoint) {
    return RefusedError("a checkpoint exists in " + directory +
                        "; --fresh needs --discard-checkpoint to give it up");
  }
  if (opened.known && !options.fresh) {
    ASSIGN_OR_RETURN(const bool log_there, IsThere(directory + kCurrent));
    if (!log_there) return LostLog(directory);
  }
  // The log's lock is taken first, so that a live job is never discarded under its feet; what is
  // discarded need not be whole.
  RocksDbLogOptions log_options;
  log_options.sync = options.sync;
  if (opened.known && options.fresh) {
    log_options.owned = [directory] { return Discard(directory); };
    opened.known = false;
  }
  ASSIGN_OR_RETURN(opened.log, OpenRocksDbLogStore(directory, log_options));
  // Its process may have been ended before the first append: then there was no job yet. A witness
  // that is gone says nothing.
  ASSIGN_OR_RETURN(const std::optional<uint64_t> synced, opened.log->DurableLength());
  if (synced == 0) opened.known = false;
  return opened;
}

absl::StatusOr<std::unique_ptr<PosixObjectStore>> OpenPosix(const CheckpointUrl& url) {
  return PosixObjectStore::Open(url.objects_path());
}

absl::StatusOr<DriverStore> OpenLocal(const CheckpointUrl& url, const DriverStoreOptions& options) {
  if (!options.log_url.empty() && options.log_url != url.text()) {
    return RefusedError("--log is for checkpoints in s3://; this one keeps its log with it: " +
                        url.text());
  }
  ASSIGN_OR_RETURN(LocalLog local, OpenLocalLog(url.directory, options));
  ASSIGN_OR_RETURN(const std::string marker, MarkerOf(url.directory));
  if (marker.starts_with(kLogMarker)) {
    return RefusedError("in " + url.directory + " is the log of a job whose state is elsewhere: " +
                        marker);
  }
  RETURN_IF_ERROR(Mark(url.directory, kMarkerText));
  ASSIGN_OR_RETURN(std::unique_ptr<PosixObjectStore> objects, OpenPosix(url));
  const absl::Status swept = objects->SweepAside(kAsideLeftS);
  LOG_IF(WARNING, !swept.ok()) << "what crashed writers left stays: " << swept;
  return DriverStore{std::move(local.log), std::move(objects), local.known};
}

S3JobOptions S3OptionsOf(const DriverStoreOptions& options) {
  std::random_device device;
  S3JobOptions s3;
  s3.fresh = options.fresh;
  s3.discard_checkpoint = options.discard_checkpoint;
  s3.must_exist = options.must_exist;
  s3.nonce = uint64_t{device()} << 32 | device();
  return s3;
}

// The log's directory is opened and marked before the life is begun: a life without that log has
// lost it.
absl::StatusOr<DriverStore> OpenS3WithLocalLog(std::shared_ptr<S3Bucket> bucket,
                                               const CheckpointUrl& url, const CheckpointUrl& log,
                                               const DriverStoreOptions& options) {
  const std::string text = kLogMarker + url.text() + "\n";
  ASSIGN_OR_RETURN(LocalLog local, OpenLocalLog(log.directory, options));
  ASSIGN_OR_RETURN(const std::string marker, MarkerOf(log.directory));
  if (!marker.empty() && marker != text) {
    return RefusedError("in " + log.directory + " is the log of another job: " + marker);
  }
  RETURN_IF_ERROR(Mark(log.directory, text));
  S3JobOptions s3_options = S3OptionsOf(options);
  s3_options.log_place = log.text();
  ASSIGN_OR_RETURN(S3JobStore s3, OpenS3JobStore(std::move(bucket), url, s3_options));
  // A directory that was marked before there was a life: its driver crashed in between.
  return DriverStore{std::move(local.log), std::move(s3.objects), s3.known};
}

absl::StatusOr<DriverStore> OpenS3(const CheckpointUrl& url, const DriverStoreOptions& options) {
  ASSIGN_OR_RETURN(std::shared_ptr<S3Bucket> bucket, ConnectS3(url.bucket));
  if (!options.log_url.empty() && options.log_url != url.text()) {
    ASSIGN_OR_RETURN(const CheckpointUrl log, ParseCheckpointUrl(options.log_url));
    if (log.s3()) return RefusedError("a log apart from its checkpoint is rocksdb:/absolute/dir");
    return OpenS3WithLocalLog(std::move(bucket), url, log, options);
  }
  ASSIGN_OR_RETURN(S3JobStore s3, OpenS3JobStore(std::move(bucket), url, S3OptionsOf(options)));
  return DriverStore{std::move(s3.log), std::move(s3.objects), s3.known};
}

}  // namespace

absl::StatusOr<std::unique_ptr<ObjectStore>> OpenObjectStore(const std::string& url) {
  ASSIGN_OR_RETURN(const CheckpointUrl parsed, ParseCheckpointUrl(url));
  if (parsed.s3()) {
    ASSIGN_OR_RETURN(std::shared_ptr<S3Bucket> bucket, ConnectS3(parsed.bucket));
    return OpenS3Objects(std::move(bucket), parsed);
  }
  // Not made here: a directory that is mounted elsewhere only would be another one.
  ASSIGN_OR_RETURN(const bool there, IsThere(parsed.objects_path()));
  if (!there) {
    return absl::NotFoundError("no job has a checkpoint in " + parsed.directory +
                               " as this node sees it; is it mounted here?");
  }
  ASSIGN_OR_RETURN(std::unique_ptr<PosixObjectStore> objects, OpenPosix(parsed));
  return std::unique_ptr<ObjectStore>(std::move(objects));
}

absl::StatusOr<DriverStore> OpenDriverStore(const DriverStoreOptions& options) {
  ASSIGN_OR_RETURN(const CheckpointUrl url, ParseCheckpointUrl(options.url));
  return url.s3() ? OpenS3(url, options) : OpenLocal(url, options);
}

}  // namespace sluice
