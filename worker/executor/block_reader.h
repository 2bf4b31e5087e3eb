// How tasks get at received blocks: mapped from the daemon on the node, or fetched from another.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "proto/cluster.pb.h"

namespace sluice {

// The encoded bytes of one block, unchanged while this lives.
class BlockBytes {
 public:
  virtual ~BlockBytes() = default;
  virtual std::string_view bytes() const = 0;
};

class OwnedBlock : public BlockBytes {
 public:
  explicit OwnedBlock(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string_view bytes() const override { return bytes_; }

 private:
  const std::string bytes_;
};

// Thread-safe. May wait.
class BlockReader {
 public:
  virtual ~BlockReader() = default;
  // Bytes whose length and checksum are those of `block`. Any error means that the block cannot
  // be had now, which is no fault of the task.
  virtual absl::StatusOr<std::unique_ptr<BlockBytes>> Read(
      const proto::BlockInfo& block, const proto::GrantedBatch::Holders& holders) = 0;
};

// Tells whoever outlives this process what it was working on. Thread-safe between slots.
class RunningTaskBoard {
 public:
  virtual ~RunningTaskBoard() = default;
  virtual void Begin(uint32_t slot, int64_t batch_ms, uint32_t stage, uint32_t task) = 0;
  virtual void End(uint32_t slot) = 0;
  // The record that the slot's task is at, from 1, where it goes one by one; 0: it does not.
  virtual void At(uint32_t slot, uint64_t record) = 0;
};

}  // namespace sluice
