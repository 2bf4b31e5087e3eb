#include "worker/daemon/data_plane.h"

#include <algorithm>

#include "common/status.h"
#include "worker/daemon/block_names.h"

namespace sluice {
namespace {

constexpr uint64_t kBlockBytesMax = kBatchBytesMax + (uint64_t{1} << 30);
constexpr uint64_t kIncomingMax = uint64_t{2} << 30;  // of blocks that have come in part
constexpr uint64_t kReservedMax = uint64_t{8} << 20;  // on a peer's word

void SendChunks(Transport* transport, const worker::SendCopy& command, std::string_view bytes) {
  uint64_t at = 0;
  do {
    const std::string_view chunk = bytes.substr(at, DataPlane::kChunkBytes);
    proto::Envelope message;
    auto* copy = message.mutable_block_copy();
    *copy->mutable_block() = command.info;
    copy->set_offset(at);
    copy->set_data(chunk.data(), chunk.size());
    at += chunk.size();
    copy->set_last(at == bytes.size());
    copy->set_incarnation(command.incarnation);
    transport->Send(command.to, std::move(message));
  } while (at < bytes.size());
}

void AnswerFetch(Transport* transport, const std::string& to, const proto::FetchBlock& fetch,
                 const absl::StatusOr<BlockStore::Reading>& reading) {
  proto::Envelope reply;
  auto* fetched = reply.mutable_fetched_block();
  *fetched->mutable_name() = fetch.name();
  fetched->set_request(fetch.request());
  if (!reading.ok() || fetch.offset() > reading->bytes().size()) {
    fetched->set_offset(fetch.offset());
    return transport->Send(to, std::move(reply));
  }
  const std::string_view bytes = reading->bytes();
  fetched->set_found(true);
  *fetched->mutable_block()->mutable_name() = fetch.name();
  fetched->mutable_block()->set_bytes(bytes.size());
  fetched->mutable_block()->set_crc32c(reading->crc32c());
  const uint64_t end =
      fetch.length() == 0 ? bytes.size()
                          : std::min<uint64_t>(bytes.size(), fetch.offset() + fetch.length());
  uint64_t at = fetch.offset();
  do {
    const std::string_view chunk = bytes.substr(at, std::min(DataPlane::kChunkBytes, end - at));
    proto::Envelope part = reply;
    part.mutable_fetched_block()->set_offset(at);
    part.mutable_fetched_block()->set_data(chunk.data(), chunk.size());
    at += chunk.size();
    transport->Send(to, std::move(part));
  } while (at < end);
}

worker::CopyUnreadable Unreadable(const BlockKey& key, const absl::Status& status) {
  return {key, std::string(Message(status)), absl::IsDataLoss(status)};
}

}  // namespace

void DataPlane::Do(worker::StoreSlice command) {
  worker::SliceStored event;
  event.info = command.slice.block();
  const BlockKey key = KeyOf(event.info.name());
  absl::StatusOr<BlockStore::Sealed> sealed = absl::NotFoundError("the slice is gone");
  std::string& inlined = *command.slice.mutable_inlined();
  if (!inlined.empty()) {
    sealed = store_->SealEncoded(key, &inlined);
  } else if (const auto batch =
                 arena_(command.executor, command.slice.arena_offset(),
                        static_cast<uint32_t>(event.info.records()))) {
    sealed = store_->Seal(key, *batch);
  }
  event.ok = sealed.ok();
  if (sealed.ok()) {
    event.info.set_bytes(sealed->bytes);
    event.info.set_crc32c(sealed->crc32c);
    event.info.set_records(sealed->records);
  } else {
    event.error = std::string(Message(sealed.status()));
    event.no_room = absl::IsResourceExhausted(sealed.status());
    if (event.no_room) event.inlined = std::move(inlined);
  }
  emit_(std::move(event));
}

void DataPlane::Do(const worker::SendCopy& command) {
  const BlockKey key = KeyOf(command.info.name());
  store_->ReadThen(key, [transport = transport_, post = post_, command,
                         key](absl::StatusOr<BlockStore::Reading> reading) {
    if (reading.ok()) return SendChunks(transport, command, reading->bytes());
    post(Unreadable(key, reading.status()));
  });
}

bool DataPlane::Handle(const std::string& from, proto::Envelope& message) {
  if (message.has_block_copy()) {
    OnCopy(from, *message.mutable_block_copy());
  } else if (message.has_fetch_block()) {
    OnFetch(from, message.fetch_block());
  } else {
    if (message.has_block_copied() && !message.block_copied().ok()) {
      CheckCopy(KeyOf(message.block_copied().name()));
    }
    return false;
  }
  return true;
}

// A peer has not taken it: what is here may be damaged, and would be sent again and again.
void DataPlane::CheckCopy(const BlockKey& key) {
  store_->ReadThen(key, [post = post_, key](absl::StatusOr<BlockStore::Reading> reading) {
    const absl::Status whole = reading.ok() ? reading->Check() : reading.status();
    if (absl::IsDataLoss(whole)) post(Unreadable(key, whole));
  });
}

void DataPlane::OnCopy(const std::string& from, proto::BlockCopy& copy) {
  const BlockKey key = KeyOf(copy.block().name());
  const std::pair<std::string, BlockKey> where{from, key};
  auto found = incoming_.find(where);
  if (copy.offset() == 0) {
    if (found != incoming_.end()) {  // sent again from the start
      incoming_bytes_ -= found->second.bytes.size();
      incoming_.erase(found);
    }
    if (copy.last()) return Take(from, copy.incarnation(), copy.block(), copy.data());
    found = incoming_.emplace(where, Incoming{copy.block(), ""}).first;
    found->second.bytes.reserve(std::min(copy.block().bytes(), kReservedMax));
  }
  if (found == incoming_.end()) return;  // its start was lost
  Incoming& incoming = found->second;
  const uint64_t total = incoming.bytes.size() + copy.data().size();
  const bool fits = incoming.bytes.size() == copy.offset() && total <= incoming.info.bytes() &&
                    incoming.info.bytes() <= kBlockBytesMax &&
                    incoming_bytes_ + copy.data().size() <= kIncomingMax;
  if (!fits) {
    emit_(worker::CopyStored{from, copy.incarnation(), incoming.info, false,
                             "a copy came in the wrong pieces"});
    incoming_bytes_ -= incoming.bytes.size();
    incoming_.erase(found);
    return;
  }
  incoming.bytes.append(copy.data());
  incoming_bytes_ += copy.data().size();
  if (!copy.last()) return;
  const Incoming whole = std::move(incoming);
  incoming_bytes_ -= whole.bytes.size();
  incoming_.erase(found);
  Take(from, copy.incarnation(), whole.info, whole.bytes);
}

void DataPlane::Take(const std::string& from, uint64_t incarnation,
                     const proto::BlockInfo& info, std::string_view bytes) {
  absl::Status stored = absl::OkStatus();
  if (bytes.size() != info.bytes()) {
    stored = absl::DataLossError("a copy has the wrong size");
  } else {
    stored = store_->PutCopy(KeyOf(info.name()), bytes, info.crc32c());
  }
  if (absl::IsAlreadyExists(stored)) stored = absl::OkStatus();
  emit_(worker::CopyStored{from, incarnation, info, stored.ok(), std::string(Message(stored))});
}

void DataPlane::OnFetch(const std::string& from, const proto::FetchBlock& fetch) {
  const BlockKey key = KeyOf(fetch.name());
  store_->ReadThen(key, [transport = transport_, post = post_, from, fetch,
                         key](absl::StatusOr<BlockStore::Reading> reading) {
    absl::Status whole = reading.status();
    if (whole.ok() && fetch.offset() == 0) whole = reading->Check();  // before its first piece
    if (!whole.ok()) reading = whole;
    AnswerFetch(transport, from, fetch, reading);
    if (absl::IsDataLoss(whole)) post(Unreadable(key, whole));
  });
}

void DataPlane::OnPeerDown(const std::string& address) {
  for (auto it = incoming_.begin(); it != incoming_.end();) {
    if (it->first.first == address) {
      incoming_bytes_ -= it->second.bytes.size();
      it = incoming_.erase(it);
    } else {
      ++it;
    }
  }
}

}  // namespace sluice
