// Reads blocks over the executor's links: from its own daemon or from any other that holds them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/net/block_fetcher.h"
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

  // `local` may be empty.
  explicit TransportBlockReader(LocalBlocks local) : local_(std::move(local)) {}

  void SetTransport(Transport* transport) { fetcher_.SetTransport(transport); }
  absl::StatusOr<std::unique_ptr<BlockBytes>> Read(
      const proto::BlockInfo& block, const proto::GrantedBatch::Holders& holders) override;

  // What the owner of the link passes on. Any thread.
  void OnFetched(const proto::FetchedBlock& message) { fetcher_.OnFetched(message); }
  void OnPeerDown(const std::string& address) { fetcher_.OnPeerDown(address); }

 private:
  const LocalBlocks local_;
  BlockFetcher fetcher_;
};

}  // namespace sluice
