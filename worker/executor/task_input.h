// The input of one task as record batches.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/plan/graph.h"
#include "common/record_batch.h"
#include "proto/cluster.pb.h"
#include "worker/executor/block_reader.h"

namespace sluice {

// Reused from task to task. Not thread-safe. Views stay valid until the next call.
class TaskInputReader {
 public:
  // Blocks, file ranges, inlined and constant batches of a map task, in order. `source` is the node
  // that the task reads. Unavailable: a block cannot be had now. Any other error is for good.
  absl::Status ReadPieces(const proto::GrantedBatch::Task& task, const Node& source,
                          BlockReader* blocks);
  // Shares of a shuffle task; views()[i] is that of shares[i].
  absl::Status ReadShares(std::span<const proto::ShareBundle::Share* const> shares);
  // Behind what was read.
  absl::Status Add(const proto::LetterInput& letter);
  void Clear();

  std::span<const BatchView> views() const { return views_; }
  // Which of the task's pieces each view is of; empty for shares.
  std::span<const int> pieces() const { return pieces_; }
  uint64_t records() const { return records_; }
  uint64_t file_bytes() const { return file_bytes_; }

 private:
  absl::Status ReadBlock(const proto::BlockInfo& block,
                         const proto::GrantedBatch::Holders& holders, BlockReader* blocks);
  void AddOwned(std::deque<RecordBatch>& batches);
  absl::Status AddEncoded(std::string_view encoded, uint64_t records, const std::string& what);

  std::vector<BatchView> views_;
  std::vector<int> pieces_;
  uint64_t records_ = 0;
  uint64_t file_bytes_ = 0;
  std::vector<std::unique_ptr<BlockBytes>> blocks_;
  std::deque<RecordBatch> owned_;
  std::deque<std::vector<uint32_t>> scratch_;  // of misaligned end offsets
  size_t scratch_used_ = 0;
};

// One of them.
std::string Describe(const proto::InputPiece& piece);
// For people: "block 7 of stream 2", "/in/a.txt bytes 0 to 100".
std::string DescribePieces(const proto::GrantedBatch::Task& task);

}  // namespace sluice
