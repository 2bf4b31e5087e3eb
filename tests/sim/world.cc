#include "tests/sim/world.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace sluice::sim {

void World::Trace(const std::string& who, const std::string& text) {
  if (!trace_) return;
  std::printf("%9.3f %-12s %s\n", static_cast<double>(now_) / 1000.0, who.c_str(), text.c_str());
}

void World::After(const std::string& owner, int64_t delay_us, std::function<void()> act) {
  const uint64_t life = LifeAt(owner);
  if (owner.empty() || life != 0) Enqueue(delay_us, {owner, life, std::move(act)});
}

void World::Enqueue(int64_t delay_us, Event event) {
  events_.emplace(std::make_pair(now_ + std::max<int64_t>(delay_us, 0), sequence_++),
                  std::move(event));
}

uint64_t World::LifeAt(const std::string& address) const {
  const auto place = processes_.find(address);
  return place == processes_.end() ? 0 : place->second.life;
}

bool World::Step(int64_t until) {
  if (events_.empty() || events_.begin()->first.first > until) return false;
  auto node = events_.extract(events_.begin());
  now_ = node.key().first;
  Event event = std::move(node.mapped());
  if (event.owner.empty()) {
    event.act();
    return true;
  }
  const auto place = processes_.find(event.owner);
  if (place == processes_.end()) return true;
  if (event.life != 0 && event.life != place->second.life) return true;
  if (place->second.paused) {
    place->second.waiting.push_back(std::move(event));
  } else {
    event.act();
  }
  return true;
}

std::string World::Attach(const std::string& host, const std::string& kind, Process* process) {
  std::string address = host + ":" + std::to_string(next_port_++) + kind;
  AttachAt(address, process);
  return address;
}

void World::AttachAt(const std::string& address, Process* process) {
  processes_[address] = {process, next_life_++, false, {}};
  std::erase_if(last_arrival_, [&](const auto& link) {  // new links, which wait for no old one
    return link.first.first == address || link.first.second == address;
  });
}

void World::Detach(const std::string& address) { processes_.erase(address); }

void World::Pause(const std::string& address) {
  const auto place = processes_.find(address);
  if (place != processes_.end()) place->second.paused = true;
}

void World::Resume(const std::string& address) {
  const auto place = processes_.find(address);
  if (place == processes_.end() || !place->second.paused) return;
  place->second.paused = false;
  for (Event& event : std::exchange(place->second.waiting, {})) {
    Enqueue(0, std::move(event));
  }
}

void World::SetHost(const std::string& host, bool up) {
  if (up) {
    down_.erase(host);
  } else {
    down_.insert(host);
  }
}

void World::TellDown(const std::string& whom, const std::string& address, bool refused,
                     int64_t delay) {
  After(whom, delay, [this, whom, address, refused] {
    processes_.at(whom).process->OnPeerDown(address, refused);
  });
}

void World::Send(const std::string& from, const std::string& to, proto::Envelope message) {
  if (to.empty()) return;
  const std::string from_host = HostOf(from);
  const std::string to_host = HostOf(to);
  auto shared = std::make_shared<const proto::Envelope>(std::move(message));
  if (from_host == to_host) {
    if (!alive(to)) return TellDown(from, to, true, 500);
    int64_t& last = last_arrival_[{from, to}];
    last = std::max(last, now_ + 50 + static_cast<int64_t>(random.Below(100)));
    Deliver(from, to, last - now_, std::move(shared));
    return;
  }
  int64_t delay = 50 + static_cast<int64_t>(random.Below(
                           static_cast<uint64_t>(faults.delay_us_max) + 1));
  if (!Reaches(from_host, to_host)) {
    Count("network: message into a cut");
    if (random.Chance(0.2)) TellDown(from, to, false, 100'000);
    return;
  }
  if (!alive(to)) {
    // Its host answers that nobody listens, if the answer comes through.
    if (Reaches(to_host, from_host)) TellDown(from, to, true, 2 * delay);
    return;
  }
  if (random.Chance(faults.lose)) {
    Count("network: message lost");
    if (random.Chance(0.5)) {
      After(from, 2 * delay, [this, from, to] {
        processes_.at(from).process->OnLinkReset(to);
      });
    }
    return;
  }
  if (random.Chance(faults.slow)) {
    Count("network: message delayed");
    delay += static_cast<int64_t>(random.Below(static_cast<uint64_t>(faults.slow_us_max) + 1));
  }
  if (random.Chance(faults.duplicate)) {
    Count("network: message twice");
    const bool stale = random.Chance(faults.stale);
    if (stale) Count("network: message twice, long after");
    const int64_t later = stale ? faults.stale_us_max : 200'000;
    Deliver(from, to, delay + static_cast<int64_t>(random.Below(static_cast<uint64_t>(later))),
            shared, stale ? LifeAt(to) : 0);
  }
  int64_t& last = last_arrival_[{from, to}];
  if (random.Chance(faults.reorder)) {
    Count("network: message out of order");
  } else {
    delay = std::max(delay, last - now_);
    last = now_ + delay;
  }
  Deliver(from, to, delay, std::move(shared));
}

void World::Deliver(const std::string& from, const std::string& to, int64_t delay,
                    std::shared_ptr<const proto::Envelope> message, uint64_t receiver) {
  const uint64_t sender = LifeAt(from);
  auto arrive = [this, from, to, sender, message = std::move(message)] {
    if (!Reaches(HostOf(from), HostOf(to))) return;  // the cut came first
    const uint64_t now_there = LifeAt(from);
    if (now_there != 0 && now_there != sender) Count("network: message of a former life");
    processes_.at(to).process->OnMessage(from, *message);
  };
  Enqueue(delay, {to, receiver, std::move(arrive)});
}

void World::ResetLinks(const std::string& host) {
  std::vector<std::string> here, there;
  for (const auto& [address, place] : processes_) {
    (HostOf(address) == host ? here : there).push_back(address);
  }
  for (const std::string& a : here) {
    for (const std::string& b : there) {
      for (const auto& [whom, peer] : {std::make_pair(a, b), std::make_pair(b, a)}) {
        if (!last_arrival_.contains({whom, peer})) continue;
        const bool down = random.Chance(0.3);
        After(whom, 100, [this, whom, peer, down] {
          if (down) {
            processes_.at(whom).process->OnPeerDown(peer, false);
          } else {
            processes_.at(whom).process->OnLinkReset(peer);
          }
        });
      }
    }
  }
}

}  // namespace sluice::sim
