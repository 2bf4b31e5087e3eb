// The lives of a job at one prefix of a bucket. A life is a log and the objects that belong to it;
// giving a checkpoint up begins the next one, and never touches keys that a driver still alive in
// an older life could write to.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/checkpoint_url.h"
#include "checkpoint/log_store.h"
#include "checkpoint/object_store.h"
#include "checkpoint/s3_bucket.h"
#include "checkpoint/s3_place.h"

namespace sluice {

// What the marker of a life says.
struct S3Life {
  uint64_t number = 0;
  bool spread_first = false;
  std::string log_place;  // "rocksdb:/dir"; empty: in the bucket itself
  bool operator==(const S3Life&) const = default;
};

struct S3JobOptions {
  std::string log_place = {};       // as in S3Life
  bool fresh = false;               // a new job, refused where one has lived
  bool discard_checkpoint = false;  // with fresh: give that one up
  bool must_exist = false;          // a job has lived here: without one the store is damaged
  uint64_t nonce = 0;               // random
};

struct S3JobStore {
  S3Life life;
  bool known = false;              // a job has lived here, and goes on
  std::unique_ptr<LogStore> log;   // null where the log is elsewhere
  std::unique_ptr<ObjectStore> objects;
};

// Connects as the environment says (docs/stores.md). Refused for an endpoint that is none.
absl::StatusOr<std::shared_ptr<S3Bucket>> ConnectS3(const std::string& bucket,
                                                    const S3ClientOptions& options = {});

// The log of what is no job at the URL's prefix, after the endpoint was tried for what it does with
// conditions: refused (exit 3) where it ignores them. It has no lives.
absl::StatusOr<std::unique_ptr<LogStore>> OpenS3Table(std::shared_ptr<S3Bucket> bucket,
                                                      const CheckpointUrl& url);

// For the job driver. Tries what the endpoint does with conditions before it writes anything else
// than the marker of a new life; aborts uploads that crashed writers left an hour ago; deletes what
// is left of lives before this one. Refused (exit 3): an endpoint that ignores conditions, a
// checkpoint that exists though `fresh`, another place of the log, another spread.
absl::StatusOr<S3JobStore> OpenS3JobStore(std::shared_ptr<S3Bucket> bucket,
                                          const CheckpointUrl& url, const S3JobOptions& options);

// For everybody else: the objects of the present life. Not found when no job has lived here.
absl::StatusOr<std::unique_ptr<ObjectStore>> OpenS3Objects(std::shared_ptr<S3Bucket> bucket,
                                                           const CheckpointUrl& url);

// For a reader, who puts nothing: the log of the present life. Not found when no job has lived
// here, or its log is elsewhere (LatestS3Life says where).
absl::StatusOr<std::unique_ptr<LogStore>> OpenS3LogToRead(std::shared_ptr<S3Bucket> bucket,
                                                          const CheckpointUrl& url);

// The highest life there is.
absl::StatusOr<std::optional<S3Life>> LatestS3Life(S3Bucket* bucket, const std::string& prefix);

}  // namespace sluice
