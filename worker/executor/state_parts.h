// The objects of a checkpoint's state: read where a state is loaded, written where one is taken.
// Objects that are bounded in size bound what both have in memory.
#pragma once

#include <cstdint>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/object_store.h"
#include "checkpoint/state_part.h"
#include "proto/cluster.pb.h"
#include "worker/executor/partition_state.h"

namespace sluice {

// Opens parts on first use: one object holds the pieces of many partitions. Beyond `bytes_max` it
// closes those that were used the longest time ago. Up to `ahead` objects that are expected are
// read while another is worked on, each on a thread of its own where one can be made, for a store
// may take long to answer; 0: none. Not thread-safe.
class PartCache {
 public:
  PartCache(ObjectStore* objects, const StatePartCodec* codec, uint64_t bytes_max,
            uint32_t ahead = 0)
      : objects_(objects), codec_(codec), bytes_max_(bytes_max), ahead_(ahead) {}

  // What will be opened, in this order. A name may come again.
  void Expect(const std::vector<std::string>& names);

  // Valid until the next call.
  absl::StatusOr<StatePartReader*> Open(const std::string& name);

 private:
  struct Part {
    std::unique_ptr<StatePartReader> reader;
    uint64_t bytes = 0;
    uint64_t used = 0;
  };
  absl::StatusOr<std::string> Get(const std::string& name);
  void AskAhead();
  void CloseOld();

  ObjectStore* objects_;
  const StatePartCodec* codec_;
  const uint64_t bytes_max_;
  const uint32_t ahead_;
  uint64_t bytes_ = 0;
  uint64_t uses_ = 0;
  std::map<std::string, Part> parts_;
  std::deque<std::string> expected_;  // each name once
  std::map<std::string, std::future<absl::StatusOr<std::string>>> asked_;
};

// What a checkpoint of this executor's state came to.
struct WrittenPart {
  std::vector<proto::CheckpointPart::Piece> pieces;
  uint64_t bytes = 0;
};

// Writes the partitions of one checkpoint, one after another, as one object or as several: a
// partition goes on in the next object when one is full. Of the pieces of a partition that is
// written whole only the first is said to be: the rest is put on top of it. Not thread-safe.
class PartWriter {
 public:
  // The first object has this name, the others have a number behind it.
  PartWriter(std::string name, ObjectStore* objects, const StatePartCodec* codec,
             uint64_t bytes_max)
      : name_(std::move(name)), objects_(objects), codec_(codec), bytes_max_(bytes_max) {}

  void Begin(const std::string& operator_name, uint32_t partition, uint64_t entries);
  void Add(const StateRow& row);
  // Between the entries of a partition: puts the object if it is full.
  absl::Status PutIfFull();
  void End(const StateSnapshot& snapshot);
  absl::StatusOr<WrittenPart> Finish();

 private:
  static constexpr uint64_t kEntryBytes = 40;  // beside key and value

  absl::Status PutObject();
  void TellPiece();  // that the last piece is in the next object
  std::string ObjectName() const;

  const std::string name_;
  ObjectStore* objects_;
  const StatePartCodec* codec_;
  const uint64_t bytes_max_;
  uint32_t objects_put_ = 0;
  uint64_t bytes_ = 0;             // of entries in pieces_
  std::vector<StatePiece> pieces_;  // of the next object
  size_t first_told_ = 0;          // where the present partition's pieces begin
  WrittenPart written_;
};

}  // namespace sluice
