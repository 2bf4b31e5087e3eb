// An object store in memory: for local mode and unit tests, and the simulator's with its faults.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "checkpoint/object_store.h"

namespace sluice {

// What goes wrong. Counters count down: 2 means the next two puts.
struct ObjectStoreFaults {
  int fail_puts = 0;     // unavailable, without effect
  int unknown_puts = 0;  // takes effect, answers unavailable
  int fail_gets = 0;     // unavailable; lists too
  bool full = false;     // every put: resource exhausted, without effect
  bool forget_unsynced = false;  // puts answer OK but are lost at the next Crash
  bool tear_unsynced = false;    // … or, if this is on, are cut to half
};

// Shared by all its users through one pointer.
class MemoryObjectStore : public ObjectStore {
 public:
  absl::Status PutIfAbsent(const std::string& name, std::string_view bytes) override;
  absl::Status PutFileIfAbsent(const std::string& name, const std::string& path) override;
  absl::StatusOr<std::string> Get(const std::string& name) override;
  absl::StatusOr<std::vector<ObjectInfo>> List(const std::string& prefix) override;
  absl::Status Delete(const std::string& name) override;
  std::string Where() const override { return "memory objects"; }

  // Replaces the faults that are on.
  void SetFaults(const ObjectStoreFaults& faults);
  // The machine stops: what was not synced is gone or torn.
  void Crash();
  // False when there is no such bit.
  bool FlipBit(const std::string& name, size_t bit);

 private:
  struct Object {
    std::string bytes;
    bool synced = true;
  };

  std::mutex mutex_;
  std::map<std::string, Object> objects_;
  ObjectStoreFaults faults_;
};

}  // namespace sluice
