#include "driver/daemon/table_store.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "checkpoint/checkpoint_url.h"
#include "checkpoint/errors.h"
#include "checkpoint/etcd_log_store.h"
#include "checkpoint/rocksdb_log_store.h"
#include "checkpoint/s3_life.h"
#include "common/status.h"

namespace sluice::daemon {
namespace {

constexpr int64_t kPatienceLeastMs = 1'000;

bool IsEtcd(const std::string& url) { return url.starts_with("etcd:"); }

absl::StatusOr<std::unique_ptr<LogStore>> OpenDirectory(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return RefusedError("cannot make " + directory + ": " + error.message());
  auto store = OpenRocksDbLogStore(directory);
  if (!IsHeld(store.status())) return store;
  return RefusedError("one driver at a time may open a rocksdb: store, so that no other can stand "
                      "by; s3:// and etcd:// let it: " + std::string(Message(store.status())));
}

}  // namespace

absl::Status CheckTableUrl(const std::string& url) {
  if (IsEtcd(url)) return ParseEtcdUrl(url).status();
  const absl::StatusOr<CheckpointUrl> parsed = ParseCheckpointUrl(url);
  if (parsed.ok() && parsed->spread_first) {
    return UsageError("a driver's store takes no ?spread=first: " + url);
  }
  if (parsed.ok() || url.starts_with("hdfs:") || url.starts_with("s3:") ||
      url.starts_with("rocksdb:")) {
    return parsed.status();
  }
  return UsageError("store URL: unknown scheme; use s3://bucket/prefix, etcd://host:port/prefix or "
                    "rocksdb:/absolute/dir: \"" + url + "\"");
}

absl::StatusOr<std::unique_ptr<LogStore>> OpenTableStore(const std::string& url,
                                                         int64_t patience_us) {
  RETURN_IF_ERROR(CheckTableUrl(url));
  const int64_t patience_ms = std::max(patience_us / 1000, kPatienceLeastMs);
  if (IsEtcd(url)) {
    ASSIGN_OR_RETURN(EtcdUrl etcd, ParseEtcdUrl(url));
    EtcdOptions options = EtcdOptionsFrom(ProcessVariables(), std::move(etcd));
    options.timeout_ms = patience_ms;
    std::unique_ptr<LogStore> store = NewEtcdLogStore(std::move(options));
    RETURN_IF_ERROR(store->DurableLength().status());  // whether anybody is there
    return store;
  }
  ASSIGN_OR_RETURN(const CheckpointUrl parsed, ParseCheckpointUrl(url));
  if (!parsed.s3()) return OpenDirectory(parsed.directory);
  S3ClientOptions options;
  options.deadline_ms = options.try_ms = patience_ms;
  ASSIGN_OR_RETURN(std::shared_ptr<S3Bucket> bucket, ConnectS3(parsed.bucket, options));
  return OpenS3Table(std::move(bucket), parsed);
}

}  // namespace sluice::daemon
