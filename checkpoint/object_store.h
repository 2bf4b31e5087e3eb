// Immutable objects by name: what every object store can serve, and no more (no rename, no append).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

struct ObjectInfo {
  std::string name;
  uint64_t bytes = 0;
};

// Thread-safe. Names are as CheckObjectName has them; any other is an invalid argument.
//
// Errors of every method: resource exhausted when the disk is full; unavailable otherwise. After
// an error of a put it is unknown whether the object is there; it is never there in part.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  // Durable and whole when it returns OK. Already exists, durable too, when the name is taken.
  virtual absl::Status PutIfAbsent(const std::string& name, std::string_view bytes) = 0;
  // The same with the bytes of a local file, which stays.
  virtual absl::Status PutFileIfAbsent(const std::string& name, const std::string& path) = 0;
  // Not found when there is no such object.
  virtual absl::StatusOr<std::string> Get(const std::string& name) = 0;
  // All objects whose names begin with `prefix`, by name.
  virtual absl::StatusOr<std::vector<ObjectInfo>> List(const std::string& prefix) = 0;
  // OK, too, when there is no such object.
  virtual absl::Status Delete(const std::string& name) = 0;
  // For messages: "/dir/objects".
  virtual std::string Where() const = 0;
};

// One to eight components of [A-Za-z0-9._-], at most 200 bytes each and none beginning with a dot,
// joined by single slashes: no name leaves the root of a store.
absl::Status CheckObjectName(std::string_view name);

}  // namespace sluice
