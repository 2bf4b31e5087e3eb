// Fetches received blocks over links from the worker daemons that hold them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "common/net/transport.h"

namespace sluice {

// Thread-safe. Its owner passes on what comes over the link.
class BlockFetcher {
 public:
  struct Options {
    int64_t answer_us = 5'000'000;  // without an answer for so long the holder counts as failed
    uint64_t chunk_bytes = uint64_t{1} << 20;
    uint32_t chunks_ahead = 4;
  };

  BlockFetcher() : BlockFetcher(Options()) {}
  explicit BlockFetcher(Options options) : options_(options) {}

  void SetTransport(Transport* transport) { transport_ = transport; }
  // The bytes of the block, of its length and with its checksum; nothing when that holder does not
  // send them. Waits as long as the holder goes on answering. Not on the link's own threads.
  std::optional<std::string> Fetch(const std::string& holder, const proto::BlockInfo& block);

  // Any thread.
  void OnFetched(const proto::FetchedBlock& message);
  void OnPeerDown(const std::string& address);

 private:
  struct Fetching {
    std::string holder;
    std::string bytes;
    uint64_t asked = 0;  // bytes asked for
    uint64_t received = 0;
    bool failed = false;
    uint64_t answers = 0;
  };

  void AskMore(uint64_t request, Fetching& fetch, const proto::BlockInfo& block);

  const Options options_;
  Transport* transport_ = nullptr;
  std::mutex mutex_;
  std::condition_variable answered_;
  std::map<uint64_t, Fetching> fetches_;  // by request
  uint64_t next_request_ = 1;
};

}  // namespace sluice
