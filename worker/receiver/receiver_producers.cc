// What a receiver executor knows of producers: it asks the job driver where each stands.
#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "worker/receiver/receiver_core.h"

namespace sluice {

ReceiverCore::Producer& ReceiverCore::ProducerOf(StreamState& stream, const std::string& name) {
  auto& producers = stream.producers;
  if (producers.size() >= stream.producers_full && !producers.contains(name)) {
    std::set<std::string_view> storing;
    for (const Request& request : stream.requests) storing.insert(request.store.producer);
    std::erase_if(producers, [&](const auto& entry) {
      const Producer& producer = entry.second;
      return producer.askers.empty() && producer.sealed == producer.logged &&
             !storing.contains(entry.first);
    });
    stream.producers_full = std::max(kProducersIdle, 2 * producers.size());
  }
  return producers[name];
}

void ReceiverCore::On(MonotonicTime now, const receiver::Ask& event, receiver::Commands& out) {
  auto found = streams_.find(event.stream);
  if (found == streams_.end()) {
    out.push_back(receiver::Answered{event.id, 0, ""});
    return;
  }
  Producer& producer = ProducerOf(found->second, event.producer);
  if (producer.known && producer.sealed != producer.logged) {
    out.push_back(receiver::Answered{event.id, producer.logged, ""});
    return;
  }
  // Another receiver may have served this producer meanwhile: what was known here may be old.
  if (producer.known) producer.asked = 0;
  producer.known = false;
  producer.askers.push_back(event.id);
  if (producer.asked == 0) Query(now, event.stream, found->second, event.producer, producer, out);
}

void ReceiverCore::Query(MonotonicTime now, uint32_t id, const StreamState& stream,
                         const std::string& name, Producer& producer, receiver::Commands& out) {
  producer.asked = now;
  Send send{options_.daemon, {}};
  auto* query = send.message.mutable_producer_query();
  query->set_stream(id);
  query->set_producer(name);
  query->set_incarnation(stream.incarnation);
  query->set_job_instance(options_.job_instance);
  out.push_back(std::move(send));
}

void ReceiverCore::OnAnswer(MonotonicTime now, const proto::ProducerAnswer& answer,
                            receiver::Commands& out) {
  auto found = streams_.find(answer.stream());
  if (found == streams_.end() || answer.incarnation() != found->second.incarnation) return;
  auto producer = found->second.producers.find(answer.producer());
  if (producer == found->second.producers.end() || producer->second.known) return;
  if (!answer.refused().empty()) {
    for (const uint64_t id : producer->second.askers) {
      out.push_back(receiver::Answered{id, 0, answer.refused()});
    }
    std::erase_if(found->second.requests, [&](const Request& request) {
      if (request.store.producer != answer.producer()) return false;
      out.push_back(receiver::Completed{request.store.id, std::nullopt});
      return true;
    });
    found->second.producers.erase(producer);
    return;
  }
  Producer& p = producer->second;
  p.known = true;
  p.logged = answer.last();
  p.sealed = answer.last();
  for (uint64_t id : std::exchange(p.askers, {})) {
    out.push_back(receiver::Answered{id, p.logged, ""});
  }
  CompleteLogged(found->second, out);
  SealReliable(now, answer.stream(), found->second, out);
}

}  // namespace sluice
