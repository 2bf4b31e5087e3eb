// Job binaries on this node, and the files that were shipped with them, by digest. What is here has
// been checked.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "common/net/fetch_binary.h"

namespace sluice {

// One thread at a time.
class BinaryCache {
 public:
  using Sink = BinarySink;
  using Fetch = std::function<absl::Status(const std::string& digest, const Sink& sink)>;

  BinaryCache(std::string directory, Fetch fetch)
      : directory_(std::move(directory)), fetch_(std::move(fetch)) {}

  // The path of the binary, fetched when it is not here. DataLoss: what came has another digest.
  // InvalidArgument: that is no digest.
  absl::StatusOr<std::string> Get(const std::string& digest);
  // Removes all others.
  void Keep(const std::set<std::string>& digests);

 private:
  const std::string directory_;
  const Fetch fetch_;
};

}  // namespace sluice
