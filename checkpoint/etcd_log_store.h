// A log's slots as keys of etcd: a transaction that puts a key only if it was never created.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/log_store.h"
#include "checkpoint/s3_settings.h"

namespace sluice {

// "etcd://host:port[,host:port...]/prefix".
struct EtcdUrl {
  std::vector<std::string> endpoints;  // "host:port", at least one
  std::string prefix;                  // without a slash at either end; never empty
  std::string text() const;
};
// Usage error (exit 2) for anything else.
absl::StatusOr<EtcdUrl> ParseEtcdUrl(std::string_view url);

struct EtcdOptions {
  EtcdUrl url;
  int64_t timeout_ms = 2'000;  // of one request to one endpoint
  std::string ca_file;         // set: etcd is asked by https
  std::string cert_file;
  std::string key_file;
};
// With the files that the ETCDCTL_* variables name.
EtcdOptions EtcdOptionsFrom(const Variables& variables, EtcdUrl url);

// Takes no lock: whoever opens it may put, and the epochs in the slots decide (log_core.h).
// Endpoints are asked in turn until one answers. Resource exhausted, too, for a slot that is larger
// than etcd takes.
std::unique_ptr<LogStore> NewEtcdLogStore(EtcdOptions options);

}  // namespace sluice
