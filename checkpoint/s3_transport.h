// One signed request to an S3 endpoint and its answer; nothing is tried twice here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "checkpoint/s3_settings.h"

namespace sluice {

struct S3Keys {
  std::string access;
  std::string secret;
  std::string token;  // of temporary keys; else empty
  bool operator==(const S3Keys&) const = default;
};

struct S3Request {
  std::string method;  // GET HEAD PUT POST DELETE
  std::string key;     // empty: the bucket itself
  std::map<std::string, std::string> query = {};
  std::map<std::string, std::string> headers = {};  // lower-case names
  std::string_view body = {};                       // outlives the call
  uint64_t answer_bytes_max = uint64_t{16} << 20;
};

struct S3Answer {
  int status = 0;
  std::map<std::string, std::string> headers = {};  // lower-case names
  std::string body = {};

  // Empty when there is no such header.
  std::string Header(const std::string& name) const;
};

// Thread-safe.
class S3Transport {
 public:
  virtual ~S3Transport() = default;

  // Signs with `keys` as of `signed_at_s` (seconds since 1970). Unavailable when no whole answer
  // came within the time, and a second more for each MiB that its head says it has; that ends
  // early when nothing moves: whether the request took effect is then unknown. PermissionDenied
  // when the server's certificate is not to be trusted. Never logs or returns a key.
  virtual absl::StatusOr<S3Answer> Send(const S3Request& request, const S3Keys& keys,
                                        int64_t signed_at_s, int64_t timeout_ms) = 0;
};

// Over HTTP, by libcurl.
std::unique_ptr<S3Transport> NewS3HttpTransport(S3Settings settings);

// What a plain GET of `url` answers with `headers` ("name: value" by name) sent along. Unavailable
// unless that is 200 and at most 64 KiB within five seconds.
absl::StatusOr<std::string> FetchUrl(const std::string& url,
                                     const std::map<std::string, std::string>& headers);

// A POST that is neither signed nor tried again.
struct UrlPost {
  std::string url;
  std::string_view json;           // its body
  int64_t timeout_ms = 5'000;
  std::string ca_file = {};        // PEM, of those to trust; empty: the system's
  std::string cert_file = {};      // and of this end, if it has to show one
  std::string key_file = {};
  uint64_t answer_bytes_max = uint64_t{64} << 20;
};
// Whatever was answered. Unavailable when no whole answer came in time: what the request did is
// then unknown. Refused when the server's certificate is not to be trusted.
absl::StatusOr<S3Answer> PostUrl(const UrlPost& post);

// `text` with all but A-Z a-z 0-9 - . _ ~ as %XX; slashes stay when `path`.
std::string UrlEncoded(std::string_view text, bool path);

}  // namespace sluice
