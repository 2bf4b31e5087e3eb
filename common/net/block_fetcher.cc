#include "common/net/block_fetcher.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "common/crc32c.h"

namespace sluice {

std::optional<std::string> BlockFetcher::Fetch(const std::string& holder,
                                               const proto::BlockInfo& block) {
  std::unique_lock lock(mutex_);
  const uint64_t request = next_request_++;
  Fetching& fetch = fetches_[request];
  fetch.holder = holder;
  while (!fetch.failed && fetch.received < block.bytes()) {
    AskMore(request, fetch, block);
    const uint64_t seen = fetch.answers;
    const auto progress = [&] { return fetch.failed || fetch.answers != seen; };
    const std::chrono::microseconds patience(options_.answer_us);
    if (!answered_.wait_for(lock, patience, progress)) fetch.failed = true;
  }
  Fetching done = std::move(fetch);
  fetches_.erase(request);
  lock.unlock();
  if (done.failed || Crc32c(done.bytes) != block.crc32c()) return std::nullopt;
  return std::move(done.bytes);
}

// Keeps a few chunks on their way.
void BlockFetcher::AskMore(uint64_t request, Fetching& fetch, const proto::BlockInfo& block) {
  const uint64_t ahead = fetch.received + options_.chunks_ahead * options_.chunk_bytes;
  while (fetch.asked < std::min(ahead, block.bytes())) {
    proto::Envelope message;
    proto::FetchBlock& ask = *message.mutable_fetch_block();
    *ask.mutable_name() = block.name();
    ask.set_offset(fetch.asked);
    ask.set_length(std::min(options_.chunk_bytes, block.bytes() - fetch.asked));
    ask.set_request(request);
    fetch.asked += ask.length();
    transport_->Send(fetch.holder, std::move(message));
  }
}

void BlockFetcher::OnFetched(const proto::FetchedBlock& message) {
  std::lock_guard lock(mutex_);
  const auto it = fetches_.find(message.request());
  if (it == fetches_.end()) return;
  Fetching& fetch = it->second;
  ++fetch.answers;
  const uint64_t size = message.data().size();
  if (!message.found() || size == 0 || message.offset() > fetch.asked ||
      size > fetch.asked - message.offset()) {
    fetch.failed = true;
  } else {
    // Room is made for what a holder has sent, not for what somebody says that it has.
    fetch.bytes.resize(std::max<size_t>(fetch.bytes.size(), message.offset() + size));
    // A chunk that came twice would be counted twice; the checksum finds it, the next holder mends.
    std::memcpy(fetch.bytes.data() + message.offset(), message.data().data(), size);
    fetch.received += size;
  }
  answered_.notify_all();
}

void BlockFetcher::OnPeerDown(const std::string& address) {
  std::lock_guard lock(mutex_);
  for (auto& [request, fetch] : fetches_) {
    if (fetch.holder == address) fetch.failed = true;
  }
  answered_.notify_all();
}

}  // namespace sluice
