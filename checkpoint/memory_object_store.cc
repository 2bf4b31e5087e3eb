#include "checkpoint/memory_object_store.h"

#include <fstream>
#include <sstream>

#include "common/status.h"

namespace sluice {

absl::Status MemoryObjectStore::PutIfAbsent(const std::string& name, std::string_view bytes) {
  RETURN_IF_ERROR(CheckObjectName(name));
  std::lock_guard lock(mutex_);
  if (faults_.full) return absl::ResourceExhaustedError("memory objects: no space left");
  if (faults_.fail_puts > 0) {
    --faults_.fail_puts;
    return absl::UnavailableError("memory objects: put failed");
  }
  const bool added =
      objects_.emplace(name, Object{std::string(bytes), !faults_.forget_unsynced}).second;
  if (!added) return absl::AlreadyExistsError("memory objects: " + name + " exists");
  if (faults_.unknown_puts > 0) {
    --faults_.unknown_puts;
    return absl::UnavailableError("memory objects: no answer to the put");
  }
  return absl::OkStatus();
}

absl::Status MemoryObjectStore::PutFileIfAbsent(const std::string& name,
                                                const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  if (!file) return absl::UnavailableError("cannot read " + path);
  return PutIfAbsent(name, bytes.str());
}

absl::StatusOr<std::string> MemoryObjectStore::Get(const std::string& name) {
  RETURN_IF_ERROR(CheckObjectName(name));
  std::lock_guard lock(mutex_);
  if (faults_.fail_gets > 0) {
    --faults_.fail_gets;
    return absl::UnavailableError("memory objects: get failed");
  }
  const auto found = objects_.find(name);
  if (found == objects_.end()) return absl::NotFoundError("memory objects: no " + name);
  return found->second.bytes;
}

absl::StatusOr<std::vector<ObjectInfo>> MemoryObjectStore::List(const std::string& prefix) {
  std::lock_guard lock(mutex_);
  if (faults_.fail_gets > 0) {
    --faults_.fail_gets;
    return absl::UnavailableError("memory objects: list failed");
  }
  std::vector<ObjectInfo> found;
  for (auto it = objects_.lower_bound(prefix); it != objects_.end(); ++it) {
    if (!it->first.starts_with(prefix)) break;
    found.push_back({it->first, it->second.bytes.size()});
  }
  return found;
}

absl::Status MemoryObjectStore::Delete(const std::string& name) {
  RETURN_IF_ERROR(CheckObjectName(name));
  std::lock_guard lock(mutex_);
  objects_.erase(name);
  return absl::OkStatus();
}

void MemoryObjectStore::SetFaults(const ObjectStoreFaults& faults) {
  std::lock_guard lock(mutex_);
  faults_ = faults;
}

void MemoryObjectStore::Crash() {
  std::lock_guard lock(mutex_);
  for (auto it = objects_.begin(); it != objects_.end();) {
    Object& object = it->second;
    if (!object.synced && !faults_.tear_unsynced) {
      it = objects_.erase(it);
      continue;
    }
    if (!object.synced) object = {object.bytes.substr(0, object.bytes.size() / 2), true};
    ++it;
  }
}

bool MemoryObjectStore::FlipBit(const std::string& name, size_t bit) {
  std::lock_guard lock(mutex_);
  const auto found = objects_.find(name);
  if (found == objects_.end() || bit / 8 >= found->second.bytes.size()) return false;
  found->second.bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
  return true;
}

}  // namespace sluice
