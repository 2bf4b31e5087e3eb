// The simulated world: virtual time, hosts, processes, and the network between them. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "proto/cluster.pb.h"
#include "tests/sim/faults.h"
#include "tests/sim/random.h"

namespace sluice::sim {

// One life of a process. Another one may begin at its address when it has ended.
class Process {
 public:
  virtual ~Process() = default;
  virtual void OnMessage(const std::string& from, proto::Envelope message) = 0;
  virtual void OnPeerDown(const std::string& address, bool refused) = 0;
  virtual void OnLinkReset(const std::string& address) = 0;
};

// What happened how often, over all seeds of a run.
using Counters = std::map<std::string, uint64_t>;

class World {
 public:
  World(uint64_t seed, const Faults& faults, Counters* counters, bool trace)
      : random(seed), faults(faults), counters_(counters), trace_(trace) {}

  int64_t now() const { return now_; }
  void Count(const std::string& what, uint64_t times = 1) { (*counters_)[what] += times; }
  bool tracing() const { return trace_; }
  void Trace(const std::string& who, const std::string& text);

  // ---- time. `owner` is the address of a process, or empty for the world itself: what a dead
  // process wanted to do is not done, also where another one is at its address by then, what a
  // paused one wants is done when it goes on.
  void After(const std::string& owner, int64_t delay_us, std::function<void()> act);
  // The next event, if there is one before `until`.
  bool Step(int64_t until);

  // ---- processes. Where each life has a port of its own: Attach; at an address that nobody has,
  // as a daemon that is started again on its port: AttachAt.
  std::string Attach(const std::string& host, const std::string& kind, Process* process);
  void AttachAt(const std::string& address, Process* process);
  void Detach(const std::string& address);
  bool alive(const std::string& address) const { return processes_.contains(address); }
  bool paused(const std::string& address) const {
    const auto place = processes_.find(address);
    return place != processes_.end() && place->second.paused;
  }
  void Pause(const std::string& address);
  void Resume(const std::string& address);
  static std::string HostOf(const std::string& address) {
    return address.substr(0, address.find(':'));
  }

  // ---- network
  void Send(const std::string& from, const std::string& to, proto::Envelope message);
  void SetHost(const std::string& host, bool up);
  bool host_up(const std::string& host) const { return !down_.contains(host); }
  void Cut(const std::string& from_host, const std::string& to_host) {
    cuts_.insert({from_host, to_host});
  }
  void HealAll() { cuts_.clear(); }
  void Heal(const std::string& from_host, const std::string& to_host) {
    cuts_.erase({from_host, to_host});
  }
  bool Reaches(const std::string& from_host, const std::string& to_host) const {
    return host_up(from_host) && host_up(to_host) && !cuts_.contains({from_host, to_host});
  }
  void ResetLinks(const std::string& host);

  Random random;
  Faults faults;

 private:
  struct Event {
    std::string owner;
    uint64_t life = 0;  // of the owner; 0: of whichever process is there then
    std::function<void()> act;
  };
  struct Place {
    Process* process = nullptr;
    uint64_t life = 0;
    bool paused = false;
    std::vector<Event> waiting;
  };
  void Enqueue(int64_t delay_us, Event event);
  uint64_t LifeAt(const std::string& address) const;  // 0: nobody is there
  // To whichever process is there then, or, with a life, to that one only: what a broken connection
  // still brings reaches no successor of its receiver.
  void Deliver(const std::string& from, const std::string& to, int64_t delay,
               std::shared_ptr<const proto::Envelope> message, uint64_t receiver = 0);
  void TellDown(const std::string& whom, const std::string& address, bool refused, int64_t delay);

  int64_t now_ = 0;
  uint64_t sequence_ = 0;
  std::map<std::pair<int64_t, uint64_t>, Event> events_;
  std::map<std::string, Place> processes_;
  uint64_t next_port_ = 1;
  uint64_t next_life_ = 1;
  std::set<std::string> down_;
  std::set<std::pair<std::string, std::string>> cuts_;
  std::map<std::pair<std::string, std::string>, int64_t> last_arrival_;  // keeps links in order
  Counters* counters_;
  const bool trace_;
};

}  // namespace sluice::sim
