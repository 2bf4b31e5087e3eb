#include "checkpoint/read_job_log.h"

#include <stdlib.h>

#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "checkpoint/checkpoint_url.h"
#include "checkpoint/s3_life.h"
#include "common/status.h"

namespace sluice {
namespace {

// RocksDB's reader wants a folder for its own messages.
absl::StatusOr<std::vector<FollowedRecord>> ReadDirectory(const std::string& directory,
                                                          uint64_t first_slot) {
  std::string scratch = std::filesystem::temp_directory_path().string() + "/sluice-log-XXXXXX";
  if (mkdtemp(scratch.data()) == nullptr) {
    return absl::UnavailableError("cannot make a folder like " + scratch);
  }
  const absl::Cleanup sweep = [&scratch] {
    std::error_code ignored;
    std::filesystem::remove_all(scratch, ignored);
  };
  RocksDbLogFollower follower(directory, scratch, first_slot);
  return follower.CatchUp();
}

absl::StatusOr<std::vector<FollowedRecord>> ReadStore(LogStore* log, uint64_t first_slot) {
  LogChain chain(first_slot, log->Where());
  std::vector<FollowedRecord> records;
  RETURN_IF_ERROR(log->ReadAll(first_slot, [&](uint64_t slot, std::string_view bytes) {
    ASSIGN_OR_RETURN(LogRecord record, chain.Decode(slot, bytes));
    ASSIGN_OR_RETURN(const LogChain::Verdict verdict, chain.Follow(slot, record));
    records.push_back({std::move(record), verdict == LogChain::Verdict::kLive});
    return absl::OkStatus();
  }));
  return records;
}

}  // namespace

absl::StatusOr<std::vector<FollowedRecord>> ReadJobLog(const std::string& url,
                                                       uint64_t first_slot) {
  ASSIGN_OR_RETURN(const CheckpointUrl parsed, ParseCheckpointUrl(url));
  if (!parsed.s3()) return ReadDirectory(parsed.directory, first_slot);
  ASSIGN_OR_RETURN(const std::shared_ptr<S3Bucket> bucket, ConnectS3(parsed.bucket));
  ASSIGN_OR_RETURN(const std::optional<S3Life> life, LatestS3Life(bucket.get(), parsed.prefix));
  if (life && !life->log_place.empty()) {
    ASSIGN_OR_RETURN(const CheckpointUrl apart, ParseCheckpointUrl(life->log_place));
    return ReadDirectory(apart.directory, first_slot);
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<LogStore> log, OpenS3LogToRead(bucket, parsed));
  return ReadStore(log.get(), first_slot);
}

}  // namespace sluice
