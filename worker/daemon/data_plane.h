// Moves the bytes of blocks for a worker's core: from receivers into the store, to peers, from
// peers, and to executors that ask. One thread: the shell's; blocks that are on disk are sent from
// the store's, which is stopped before the transport goes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "common/net/transport.h"
#include "common/record_batch.h"
#include "worker/daemon/block_store.h"
#include "worker/daemon/worker_events.h"

namespace sluice {

class DataPlane {
 public:
  static constexpr uint64_t kChunkBytes = 1 << 20;

  using Emit = std::function<void(worker::Event)>;
  // Records in an executor's arena; nothing when it has none or the place is no slice of it.
  using ArenaView = std::function<std::optional<BatchView>(const ExecutorKey&, uint64_t offset,
                                                           uint32_t records)>;
  // All outlive the data plane.
  // `emit` is for this thread, `post` for any.
  DataPlane(BlockStore* store, Transport* transport, Emit emit, Emit post, ArenaView arena)
      : store_(store),
        transport_(transport),
        emit_(std::move(emit)),
        post_(std::move(post)),
        arena_(std::move(arena)) {}

  void Do(worker::StoreSlice command);
  void Do(const worker::SendCopy& command);
  // True when the message is about bytes and was dealt with here. What is sent is looked through
  // when it is fetched, and when a peer did not take it: CopyUnreadable, where it is damaged.
  bool Handle(const std::string& from, proto::Envelope& message);
  void OnPeerDown(const std::string& address);

 private:
  struct Incoming {
    proto::BlockInfo info;
    std::string bytes;
  };
  void OnCopy(const std::string& from, proto::BlockCopy& copy);
  void Take(const std::string& from, uint64_t incarnation, const proto::BlockInfo& info,
            std::string_view bytes);
  void OnFetch(const std::string& from, const proto::FetchBlock& fetch);
  void CheckCopy(const BlockKey& key);

  BlockStore* const store_;
  Transport* const transport_;
  const Emit emit_;
  const Emit post_;
  const ArenaView arena_;
  std::map<std::pair<std::string, BlockKey>, Incoming> incoming_;  // by sender
  uint64_t incoming_bytes_ = 0;
};

}  // namespace sluice
