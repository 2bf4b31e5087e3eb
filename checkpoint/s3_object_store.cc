#include "checkpoint/s3_object_store.h"

#include <algorithm>

#include "common/status.h"

namespace sluice {

absl::Status S3ObjectStore::PutIfAbsent(const std::string& name, std::string_view bytes) {
  RETURN_IF_ERROR(CheckObjectName(name));
  return bucket_->PutIfAbsent(place_.ObjectKey(name), bytes);
}

absl::Status S3ObjectStore::PutFileIfAbsent(const std::string& name, const std::string& path) {
  RETURN_IF_ERROR(CheckObjectName(name));
  return bucket_->PutFileIfAbsent(place_.ObjectKey(name), path);
}

absl::StatusOr<std::string> S3ObjectStore::Get(const std::string& name) {
  RETURN_IF_ERROR(CheckObjectName(name));
  return bucket_->Get(place_.ObjectKey(name));
}

absl::StatusOr<std::vector<ObjectInfo>> S3ObjectStore::List(const std::string& prefix) {
  std::vector<ObjectInfo> found;
  const bool only_unspread = prefix.starts_with(kUnspread);
  if (only_unspread || kUnspread.starts_with(prefix)) {
    const std::string names = only_unspread ? prefix : std::string(kUnspread);
    ASSIGN_OR_RETURN(const std::vector<S3Object> objects, bucket_->List(place_.root() + names));
    for (const S3Object& object : objects) {
      found.push_back({object.key.substr(place_.root().size()), object.bytes});
    }
  }
  for (const std::string& root : place_.ObjectRoots()) {
    if (only_unspread) break;
    // With the digit in front of all a name follows its root; else the digit is between them.
    const std::string listed = place_.spread_first ? root + prefix : root;
    ASSIGN_OR_RETURN(const std::vector<S3Object> objects, bucket_->List(listed));
    for (const S3Object& object : objects) {
      std::string name = object.key.substr(root.size());
      if (!place_.spread_first) name.erase(0, 2);
      if (!name.starts_with(prefix) || place_.ObjectKey(name) != object.key) continue;
      found.push_back({std::move(name), object.bytes});
    }
  }
  std::ranges::sort(found, {}, &ObjectInfo::name);
  return found;
}

absl::Status S3ObjectStore::Delete(const std::string& name) {
  RETURN_IF_ERROR(CheckObjectName(name));
  return bucket_->Delete({place_.ObjectKey(name)});
}

}  // namespace sluice
