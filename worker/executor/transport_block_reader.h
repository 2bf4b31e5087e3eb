// Reads blocks over the executor's links: from its own daemon or from any other that holds them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/net/transport.h"
#include "worker/executor/block_reader.h"

namespace sluice {

// Thread-safe. A block that is mapped on this node is taken from there; the holders are asked one
// after another for the rest, each as long as it goes on answering.
class TransportBlockReader : public BlockReader {
 public:
  // Nothing: not on this node.
  using LocalBlocks =
      std::function<std::unique_ptr<BlockBytes>(const proto::BlockInfo& block)>;
  struct Options {
    LocalBlocks local;                    // may be empty
    int64_t answer_us = 5'000'000;        // without an answer the next holder is asked
    uint64_t chunk_bytes = uint64_t{1} << 20;
    uint32_t chunks_ahead = 4;
  };

  explicit TransportBlockReader(Options options) : options_(std::move(options)) {}

  void SetTransport(Transport* transport) { transport_ = transport; }
  absl::StatusOr<std::unique_ptr<BlockBytes>> Read(
      const proto::BlockInfo& block, const proto::GrantedBatch::Holders& holders) override;

  // What the owner of the link passes on. Any thread.
  void OnFetched(proto::FetchedBlock message);
  void OnPeerDown(const std::string& address);

 private:
  struct Fetch {
    std::string holder;
    std::string bytes;
    uint64_t asked = 0;     // bytes asked for
    uint64_t received = 0;
    bool failed = false;
    uint64_t answers = 0;
  };

  std::unique_ptr<BlockBytes> FetchFrom(const std::string& holder, const proto::BlockInfo& block);
  void AskMore(uint64_t request, Fetch& fetch, const proto::BlockInfo& block);

  const Options options_;
  Transport* transport_ = nullptr;
  std::mutex mutex_;
  std::condition_variable answered_;
  std::map<uint64_t, Fetch> fetches_;  // by request
  uint64_t next_request_ = 1;
};

}  // namespace sluice
