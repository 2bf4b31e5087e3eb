// Checkpoints in an object store: manifests in order, and their parts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/manifest.h"
#include "checkpoint/object_store.h"
#include "checkpoint/state_part.h"

namespace sluice {

// Names of objects: "manifest-<sequence>", "part-<job>-<batch>-<maker>", "kept/<job>-<batch>/…".
std::string ManifestName(uint64_t sequence);

// `maker` tells apart the parts of one batch, say "e3g5x0": an object is never written twice with
// different bytes.
std::string StatePartName(uint64_t job_instance, int64_t batch_ms, const std::string& maker);

// Under it is what was kept aside of a skipped batch. Never collected.
inline constexpr char kKeptFolder[] = "kept/";
std::string KeptPrefix(uint64_t job_instance, int64_t batch_ms);

// Under it are the letters of each batch that has some. Never collected.
inline constexpr char kLettersFolder[] = "letters/";
std::string LettersName(uint64_t job_instance, int64_t batch_ms);

// There when the checkpoint of that manifest was found to be damaged and is to be passed over; says
// why.
std::string SetAsideName(const std::string& manifest);

struct CheckpointInfo {
  std::string name;  // of the manifest
  uint64_t sequence = 0;
  uint64_t bytes = 0;  // of the manifest itself
  bool set_aside = false;
};

struct PartInfo {
  std::string name;
  int64_t batch_ms = 0;
};

// Thread-safe as far as its object store is. Store and codec must outlive it.
//
// An object that is there but cannot be read right, or is named and not there, is damaged, and the
// message names it.
class CheckpointStore {
 public:
  CheckpointStore(ObjectStore* objects, const StatePartCodec* codec)
      : objects_(objects), codec_(codec) {}

  // All manifests, oldest first, unread.
  absl::StatusOr<std::vector<CheckpointInfo>> List();

  // Puts a manifest under its sequence; its parts must be durable. Already exists when another
  // driver has put one of that sequence with other bytes.
  absl::Status PutManifest(const Manifest& manifest);

  absl::StatusOr<Manifest> ReadManifest(const std::string& name);

  // Reads the manifest and every part that it names, end to end. Not found when there is none of
  // that name.
  absl::Status Verify(const std::string& name);

  // All parts of state, whatever needs them.
  absl::StatusOr<std::vector<PartInfo>> ListParts();

 private:
  absl::StatusOr<std::string> GetNamed(const std::string& name, const std::string& needed_by);

  ObjectStore* objects_;
  const StatePartCodec* codec_;
};

}  // namespace sluice
