// Which S3 endpoint is meant, by the AWS_* variables that every client of S3 reads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace sluice {

// The value of an environment variable; empty when it is not set.
using Variables = std::function<std::string(const std::string& name)>;
Variables ProcessVariables();

// Whether "HOST" or "HOST:PORT" is this machine.
bool IsLoopbackHost(std::string_view host);

struct S3Settings {
  std::string base;  // "https://bucket.s3.eu-west-1.amazonaws.com", "http://host:port/bucket"
  std::string host;  // what follows the scheme up to the path: "host:port"
  std::string region;
  std::string ca_bundle;  // file; empty: the system's
  bool exposed = false;   // no TLS, and not on this host
  int64_t stalled_s = 10;  // a request ends when nothing moved for so long
};

// Refused (exit 3) when AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL is no URL of a host, with a port or
// without, by http or https.
absl::StatusOr<S3Settings> S3SettingsFrom(const Variables& variables, const std::string& bucket);

}  // namespace sluice
