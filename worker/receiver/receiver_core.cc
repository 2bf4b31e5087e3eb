#include "worker/receiver/receiver_core.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr int64_t kSealAgainUs = 500'000;
constexpr int64_t kAskAgainUs = 200'000;
constexpr int64_t kRefusedRetryUs = 100'000;
constexpr int kRefusalsMax = 5;

// Of two bounds; 0 is none.
double Lower(double a, double b) {
  if (a <= 0) return b;
  return b <= 0 ? a : std::min(a, b);
}

}  // namespace

ReceiverCore::ReceiverCore(Options options, BufferPool* pool)
    : options_(std::move(options)), pool_(pool) {
  paced_ = options_.max_rate > 0 || options_.initial_rate > 0;
  for (const Stream& stream : options_.streams) {
    streams_[stream.id].incarnation = stream.incarnation;
    streams_[stream.id].pace.SetRate(0, Lower(options_.max_rate, options_.initial_rate));
  }
}

receiver::Commands ReceiverCore::Step(MonotonicTime now, const receiver::Event& event) {
  receiver::Commands out;
  std::visit([&](const auto& e) { On(now, e, out); }, event);
  return out;
}

bool ReceiverCore::idle() const {
  if (!sealed_.empty()) return false;
  return std::all_of(streams_.begin(), streams_.end(), [](const auto& entry) {
    return entry.second.open == nullptr && entry.second.requests.empty();
  });
}

ReceiverCore::Stored ReceiverCore::Store(MonotonicTime now, uint32_t id, std::string_view record,
                                         receiver::Commands& out) {
  StreamState& stream = streams_.at(id);
  if (stream.open != nullptr && stream.open->Append(record)) {
    ++stream.taken;
    stream.pace.Take(now, 1);
    return Stored::kYes;
  }
  if (record.size() > kRecordBytesMax) {
    ++stream.taken;
    return Stored::kTooLarge;
  }
  SealOpen(now, id, stream, out);
  stream.open.reset();
  stream.open = pool_->Open({id, stream.incarnation, false}, record.size());
  if (stream.open == nullptr) return Stored::kNoRoom;
  stream.opened_at = now;
  ++stream.taken;
  if (!stream.open->Append(record)) return Stored::kTooLarge;
  stream.pace.Take(now, 1);
  return Stored::kYes;
}

std::vector<proto::ReceiverTaken> ReceiverCore::taken() const {
  std::vector<proto::ReceiverTaken> all;
  for (const auto& [id, stream] : streams_) {
    if (stream.taken == 0) continue;
    proto::ReceiverTaken& taken = all.emplace_back();
    taken.set_stream(id);
    taken.set_incarnation(stream.incarnation);
    taken.set_records(stream.taken);
  }
  return all;
}

ReceiverCore::Stored ReceiverCore::StoreBlock(MonotonicTime now, uint32_t id,
                                              const BatchView& records, uint32_t& from,
                                              receiver::Commands& out) {
  StreamState& stream = streams_.at(id);
  const uint64_t first_size = records.record(from).size();
  if (first_size > kRecordBytesMax) {
    ++stream.taken;
    return Stored::kTooLarge;
  }
  SealOpen(now, id, stream, out);  // what came before stays before
  stream.open.reset();
  const std::unique_ptr<OpenBuffer> buffer =
      pool_->Open({id, stream.incarnation, false, records.size, records.count}, first_size);
  if (buffer == nullptr) return Stored::kNoRoom;
  const uint32_t appended = buffer->AppendFrom(records, from);
  from += appended;
  stream.taken += appended;
  stream.pace.Take(now, appended);
  SealBuffer(now, id, stream, *buffer, {}, out);
  return Stored::kYes;
}

void ReceiverCore::SealOpen(MonotonicTime now, uint32_t id, StreamState& stream,
                            receiver::Commands& out) {
  if (stream.open == nullptr || stream.open->records() == 0) return;
  const std::unique_ptr<OpenBuffer> buffer = std::move(stream.open);
  SealBuffer(now, id, stream, *buffer, {}, out);
}

void ReceiverCore::SealBuffer(MonotonicTime now, uint32_t id, StreamState& stream,
                              OpenBuffer& buffer, proto::BlockInfo block,
                              receiver::Commands& out) {
  proto::BlockName* name = block.mutable_name();
  name->set_job_instance(options_.job_instance);
  name->set_stream(id);
  name->set_incarnation(stream.incarnation);
  name->set_number(++stream.last_number);
  block.set_records(buffer.records());
  if (block.reliable()) stream.on_its_way = OnItsWay{block};
  proto::SealSlices::Slice slice;
  *slice.mutable_block() = std::move(block);
  buffer.Seal(stream.last_number, &slice);
  Sealed& sealed = sealed_[slice.arena_offset()];
  sealed.sent = now;
  Send send{options_.daemon, {}};
  auto* sent = send.message.mutable_seal_slices()->add_slices();
  if (pool_->lossless()) {
    *sealed.slice.mutable_block() = slice.block();
    *sent = std::move(slice);
  } else {
    sealed.slice = slice;
    *sent = std::move(slice);
  }
  out.push_back(std::move(send));
}

void ReceiverCore::On(MonotonicTime now, const receiver::Tick&, receiver::Commands& out) {
  for (auto& [id, stream] : streams_) {
    const bool due = stream.open != nullptr && stream.open->records() > 0 &&
                     now - stream.opened_at >= options_.block_interval_us;
    if (due) SealOpen(now, id, stream, out);
    for (auto& [name, producer] : stream.producers) {
      const bool wanted = !producer.known && producer.asked != 0;
      if (wanted && now - producer.asked >= kAskAgainUs) {
        Query(now, id, stream, name, producer, out);
      }
    }
    SealReliable(now, id, stream, out);
  }
  if (pool_->lossless()) return;
  for (auto& [offset, sealed] : sealed_) {
    if (now - sealed.sent < kSealAgainUs) continue;
    sealed.sent = now;
    Send send{options_.daemon, {}};
    *send.message.mutable_seal_slices()->add_slices() = sealed.slice;
    out.push_back(std::move(send));
  }
}

void ReceiverCore::On(MonotonicTime, const receiver::Cancel& event, receiver::Commands&) {
  auto found = streams_.find(event.stream);
  if (found == streams_.end()) return;
  std::erase_if(found->second.requests,
                [&](const Request& request) { return request.store.id == event.id; });
}

void ReceiverCore::On(MonotonicTime now, const receiver::SealAll&, receiver::Commands& out) {
  for (auto& [id, stream] : streams_) SealOpen(now, id, stream, out);
}

void ReceiverCore::On(MonotonicTime now, const receiver::Received& event,
                      receiver::Commands& out) {
  const proto::Envelope& message = event.message;
  switch (message.message_case()) {
    case proto::Envelope::kSealedSlices:
      return OnSealedSlices(now, message.sealed_slices(), out);
    case proto::Envelope::kBlockVerdict: return OnVerdict(now, message.block_verdict(), out);
    case proto::Envelope::kProducerAnswer: return OnAnswer(now, message.producer_answer(), out);
    case proto::Envelope::kReceiverRates: return OnRates(now, message.receiver_rates(), out);
    case proto::Envelope::kSealTick: {
      if (message.seal_tick().job_instance() != options_.job_instance) return;
      On(now, receiver::SealAll{}, out);
      Send send{options_.daemon, {}};
      auto* done = send.message.mutable_seal_done();
      done->set_job_instance(options_.job_instance);
      done->set_batch_ms(message.seal_tick().batch_ms());
      out.push_back(std::move(send));
      return;
    }
    default: return;
  }
}

MonotonicTime ReceiverCore::NextStoreUs(MonotonicTime now, uint32_t stream) {
  return streams_.at(stream).pace.NextUs(now);
}

void ReceiverCore::OnRates(MonotonicTime now, const proto::ReceiverRates& rates,
                           receiver::Commands& out) {
  if (rates.job_instance() != options_.job_instance) return;
  paced_ = true;
  for (const auto& rate : rates.rates()) {
    const auto found = streams_.find(rate.stream());
    if (found == streams_.end()) continue;
    found->second.pace.SetRate(now, Lower(options_.max_rate, rate.records_per_s()));
    SealReliable(now, found->first, found->second, out);
  }
  out.push_back(receiver::RoomFreed{});
}

void ReceiverCore::OnSealedSlices(MonotonicTime now, const proto::SealedSlices& message,
                                  receiver::Commands& out) {
  bool freed = false;
  for (uint64_t offset : message.arena_offsets()) {
    if (sealed_.erase(offset) == 0) continue;
    pool_->Free(offset);
    freed = true;
  }
  if (!message.reason().empty()) out.push_back(receiver::Say{message.reason()});
  if (!freed) return;
  out.push_back(receiver::RoomFreed{});
  for (auto& [id, stream] : streams_) SealReliable(now, id, stream, out);
}

void ReceiverCore::On(MonotonicTime now, const receiver::StoreRequest& event,
                      receiver::Commands& out) {
  auto found = streams_.find(event.stream);
  if (found == streams_.end() || (!event.producer.empty() && event.first < 1)) {
    out.push_back(receiver::Completed{event.id, std::nullopt});
    return;
  }
  found->second.requests.push_back({event});
  if (!event.producer.empty()) {
    Producer& producer = ProducerOf(found->second, event.producer);
    if (!producer.known && producer.asked == 0) {
      Query(now, event.stream, found->second, event.producer, producer, out);
    }
  }
  CompleteLogged(found->second, out);
  SealReliable(now, event.stream, found->second, out);
}

void ReceiverCore::CompleteLogged(StreamState& stream, receiver::Commands& out) {
  std::erase_if(stream.requests, [&](const Request& request) {
    const bool numbered = !request.store.producer.empty();
    if (!numbered) {
      if (request.logged < request.store.records.count) return false;
      out.push_back(receiver::Completed{request.store.id, 0});
      return true;
    }
    const Producer& producer = stream.producers.at(request.store.producer);
    if (!producer.known || request.last() > producer.logged) return false;
    out.push_back(receiver::Completed{request.store.id, producer.logged});
    return true;
  });
}

bool ReceiverCore::Gather(Request& request, Producer* producer, OpenBuffer& buffer,
                          proto::BlockInfo& block) {
  const BatchView& records = request.store.records;
  uint32_t next = request.taken;
  if (producer != nullptr) {
    const int64_t skip = producer->sealed + 1 - request.store.first;
    next = static_cast<uint32_t>(std::clamp<int64_t>(skip, 0, records.count));
  }
  const uint32_t begin = next;
  EncodedBatch* const whole = request.store.whole;
  if (begin == 0 && records.count > 0 && whole != nullptr && buffer.Adopt(*whole)) {
    request.adopted = true;
    next = records.count;
  } else if (next < records.count) {
    next += buffer.AppendFrom(records, next);
  }
  request.taken = next;
  if (producer != nullptr && next > begin) {
    const int64_t first = request.store.first + begin;
    const int64_t last = request.store.first + next - 1;
    auto* ranges = block.mutable_producers();
    auto range = std::find_if(ranges->begin(), ranges->end(), [&](const auto& r) {
      return r.producer() == request.store.producer;
    });
    if (range == ranges->end()) {
      auto* added = block.add_producers();
      added->set_producer(request.store.producer);
      added->set_first(first);
      added->set_last(last);
    } else {
      range->set_last(last);
    }
    producer->sealed = last;
  }
  return next == records.count;
}

void ReceiverCore::SealReliable(MonotonicTime now, uint32_t id, StreamState& stream,
                                receiver::Commands& out) {
  if (stream.on_its_way.has_value() || now < stream.retry_at) return;
  if (stream.pace.NextUs(now) > now) return;  // tried again at a tick
  // All that waits, in one block, would be one task that is late whatever the rate. But what was
  // stored in one call stays together: it is logged as a whole or not at all.
  const uint64_t most = stream.pace.Together(options_.block_interval_us);
  std::unique_ptr<OpenBuffer> buffer;
  proto::BlockInfo block;
  block.set_reliable(true);
  for (auto it = stream.requests.begin(); it != stream.requests.end();) {
    Request& request = *it;
    Producer* producer = nullptr;
    if (!request.store.producer.empty()) {
      producer = &stream.producers.at(request.store.producer);
      if (!producer->known) {
        ++it;
        continue;
      }
    }
    const BatchView& records = request.store.records;
    uint32_t next = producer == nullptr ? request.taken : 0;
    if (producer != nullptr) {
      next = static_cast<uint32_t>(std::clamp<int64_t>(
          producer->sealed + 1 - request.store.first, 0, records.count));
    }
    const bool gap = producer != nullptr && request.store.first > producer->sealed + 1;
    const bool too_large =
        next < records.count && records.record(next).size() > kRecordBytesMax;
    if (gap || too_large) {
      if (too_large) out.push_back(receiver::Say{"a record above the largest size was refused"});
      out.push_back(receiver::Completed{request.store.id, std::nullopt});
      it = stream.requests.erase(it);
      continue;
    }
    if (records.count == 0 || next == records.count) {
      ++it;
      continue;
    }
    const uint64_t before = buffer == nullptr ? 0 : buffer->records();
    if (before > 0 && before + (records.count - next) > most) break;
    if (buffer == nullptr) {
      buffer = pool_->Open({id, stream.incarnation, true, records.size, records.count},
                           records.record(next).size());
      if (buffer == nullptr) return;  // tried again when a slice is free
    }
    if (!Gather(request, producer, *buffer, block)) break;
    ++it;
  }
  CompleteLogged(stream, out);
  if (buffer == nullptr || buffer->records() == 0) return;
  stream.pace.Take(now, buffer->records());
  SealBuffer(now, id, stream, *buffer, std::move(block), out);
}

void ReceiverCore::OnVerdict(MonotonicTime now, const proto::BlockVerdict& verdict,
                             receiver::Commands& out) {
  auto found = streams_.find(verdict.name().stream());
  if (found == streams_.end() || verdict.name().incarnation() != found->second.incarnation) return;
  StreamState& stream = found->second;
  if (!stream.on_its_way.has_value() ||
      stream.on_its_way->block.name().number() != verdict.name().number()) {
    return;
  }
  const proto::BlockInfo block = std::move(stream.on_its_way->block);
  stream.on_its_way.reset();
  if (verdict.accepted()) {
    for (const auto& range : block.producers()) {
      Producer& producer = stream.producers[range.producer()];
      producer.logged = std::max(producer.logged, range.last());
    }
    for (Request& request : stream.requests) {
      if (request.store.producer.empty()) request.logged = request.taken;
    }
  } else {
    // What is logged already is trimmed; the rest is sealed again under the next number.
    for (const auto& range : block.producers()) {
      stream.producers[range.producer()].sealed = stream.producers[range.producer()].logged;
    }
    for (const auto& last : verdict.last()) {
      Producer& producer = stream.producers[last.producer()];
      producer.logged = last.last();
      producer.sealed = last.last();
    }
    stream.retry_at = now + (verdict.last().empty() ? kRefusedRetryUs : 0);
    std::erase_if(stream.requests, [&](Request& request) {
      if (request.taken == 0 && request.refused == 0) return false;
      if (request.adopted) {  // whoever stored it has the records still
        out.push_back(receiver::Completed{request.store.id, std::nullopt});
        return true;
      }
      if (request.store.producer.empty()) request.taken = request.logged;
      if (++request.refused <= kRefusalsMax) return false;
      out.push_back(receiver::Completed{request.store.id, std::nullopt});
      return true;
    });
  }
  CompleteLogged(stream, out);
  SealReliable(now, found->first, stream, out);
}

}  // namespace sluice
