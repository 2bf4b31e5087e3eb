#include "worker/executor/transport_block_reader.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"

namespace sluice {
namespace {

class OwnedBytes : public BlockBytes {
 public:
  explicit OwnedBytes(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string_view bytes() const override { return bytes_; }

 private:
  const std::string bytes_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BlockBytes>> TransportBlockReader::Read(
    const proto::BlockInfo& block, const proto::GrantedBatch::Holders& holders) {
  if (options_.local) {
    if (auto mapped = options_.local(block); mapped != nullptr) return mapped;
  }
  for (const std::string& holder : holders.addresses()) {
    if (auto fetched = FetchFrom(holder, block); fetched != nullptr) return fetched;
  }
  return absl::UnavailableError(absl::StrCat("block ", block.name().number(), " of stream ",
                                             block.name().stream(), ": none of its ",
                                             holders.addresses_size(), " holders has sent it"));
}

std::unique_ptr<BlockBytes> TransportBlockReader::FetchFrom(const std::string& holder,
                                                            const proto::BlockInfo& block) {
  std::unique_lock lock(mutex_);
  const uint64_t request = next_request_++;
  Fetch& fetch = fetches_[request];
  fetch.holder = holder;
  fetch.bytes.resize(block.bytes());
  while (!fetch.failed && fetch.received < block.bytes()) {
    AskMore(request, fetch, block);
    const uint64_t seen = fetch.answers;
    const auto progress = [&] { return fetch.failed || fetch.answers != seen; };
    const std::chrono::microseconds patience(options_.answer_us);
    if (!answered_.wait_for(lock, patience, progress)) fetch.failed = true;
  }
  Fetch done = std::move(fetch);
  fetches_.erase(request);
  lock.unlock();
  if (done.failed || Crc32c(done.bytes) != block.crc32c()) return nullptr;
  return std::make_unique<OwnedBytes>(std::move(done.bytes));
}

// Keeps a few chunks on their way.
void TransportBlockReader::AskMore(uint64_t request, Fetch& fetch,
                                   const proto::BlockInfo& block) {
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

void TransportBlockReader::OnFetched(proto::FetchedBlock message) {
  std::lock_guard lock(mutex_);
  const auto it = fetches_.find(message.request());
  if (it == fetches_.end()) return;
  Fetch& fetch = it->second;
  ++fetch.answers;
  const uint64_t size = message.data().size();
  if (!message.found() || size == 0 || message.offset() > fetch.bytes.size() ||
      size > fetch.bytes.size() - message.offset()) {
    fetch.failed = true;
  } else {
    // A chunk that came twice would be counted twice; the checksum finds it, the next holder mends.
    std::memcpy(fetch.bytes.data() + message.offset(), message.data().data(), size);
    fetch.received += size;
  }
  answered_.notify_all();
}

void TransportBlockReader::OnPeerDown(const std::string& address) {
  std::lock_guard lock(mutex_);
  for (auto& [request, fetch] : fetches_) {
    if (fetch.holder == address) fetch.failed = true;
  }
  answered_.notify_all();
}

}  // namespace sluice
