// The keys that requests are signed with: from the environment, a file or the node's own service.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/s3_settings.h"
#include "checkpoint/s3_transport.h"
#include "common/clock.h"

namespace sluice {

// Thread-safe. No message of it holds a key or token.
class S3KeySource {
 public:
  virtual ~S3KeySource() = default;
  // What is valid now. Denied (PermissionDenied) when there are none, or a file of them may be read
  // by others; unavailable when a service does not answer.
  virtual absl::StatusOr<S3Keys> Get() = 0;
  // The store has refused these keys: others, if there are any, at the next Get.
  virtual void Refused() = 0;
};

// GET of a URL with headers, as FetchUrl does it.
using Fetch = std::function<absl::StatusOr<std::string>(
    const std::string& url, const std::map<std::string, std::string>& headers)>;

// The first of these that the variables name (docs/stores.md): keys in the environment, the
// credentials file, the container's URL. `clock` outlives it.
std::unique_ptr<S3KeySource> NewS3KeySource(const Variables& variables, Clock* clock,
                                            Fetch fetch = FetchUrl);

// The keys of one profile of a credentials file's text. Not found without them; invalid argument,
// with the line's number, for what is no such file.
absl::StatusOr<S3Keys> ParseCredentialsFile(std::string_view text, const std::string& profile);

}  // namespace sluice
