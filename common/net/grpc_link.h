// What the two directions of links share (LinkCore), and the sending direction (OutLink). Internal
// to grpc_transport.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>

#include "common/event_loop.h"
#include "common/net/grpc_transport.h"
#include "proto/client.grpc.pb.h"

namespace sluice::internal {

class OutLink;
class Attempt;

inline constexpr char kFromKey[] = "sluice-from";  // address of the link server that calls
inline constexpr char kLinkKey[] = "sluice-link";  // a link server's first answer

// Thread-safe. Outlives the transport while calls of gRPC still refer to it; after Close it only
// swallows what they say.
class LinkCore : public std::enable_shared_from_this<LinkCore> {
 public:
  LinkCore(const GrpcTransportOptions& options, Transport::Handler* handler);

  void Start(std::string address);  // of this process; links may open from now on
  void Send(const std::string& to, proto::Envelope message);
  // An incoming link ended: see whether its process did. Opens a link towards it if there is none.
  void Probe(const std::string& from);

  // Whose process is at an address decides what we present there. Of a daemon's core only.
  //
  // Whoever calls proves by its token that it is of `job` (or, empty, a daemon); its address is but
  // its word. False: somebody else is there, as far as is known, and this one is to be refused.
  bool Claim(const std::string& address, const std::string& job);
  void EndClaim(const std::string& address, const std::string& job);  // its link has ended
  // A process of this job is there, by the word of somebody who is believed.
  void Introduce(const std::string& address, const std::string& job);
  // It has taken what only a daemon is presented with.
  void ProvedDaemon(const std::string& address);
  std::string JobOf(const std::string& address);

  void OnMessage(const std::string& from, proto::Envelope message);
  void OnPeerDown(const std::string& address, bool refused);
  void OnPeerDenied(const std::string& address, const std::string& why);
  void OnLinkReset(const std::string& address);

  // The link is down, and unless it is in use again already, it is forgotten.
  void Forget(const std::string& address);
  size_t links();  // that are not forgotten

  // Flushes and ends all links; false when some call of gRPC did not end in time.
  bool Close(MonotonicTime deadline);

  void AttemptBegan();
  void AttemptEnded();

  EventLoop& loop() { return loop_; }
  const std::string& address();  // waits for Start
  const GrpcTransportOptions& options() const { return options_; }

 private:
  // What is known of the process at an address. It is forgotten when that process has ended.
  struct Peer {
    std::string job;       // empty: a daemon
    int links = 0;         // open from there
    bool doubted = false;  // the last link towards it failed: try what a daemon is presented with
  };
  void Missed(const std::string& address, bool refused);
  std::shared_ptr<OutLink> LinkTo(const std::string& address);  // null when closing
  bool AwaitNoAttempts(MonotonicTime deadline);

  const GrpcTransportOptions options_;
  std::string address_;
  std::shared_timed_mutex gate_;   // shared while the handler runs
  Transport::Handler* handler_;    // null when closed
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closing_ = false;
  int attempts_ = 0;
  std::map<std::string, std::shared_ptr<OutLink>> links_;
  std::map<std::string, Peer> peers_;
  EventLoop loop_;
};

// The link towards one address, until it is found down: then it retires, and the core makes a new
// one for the next message. At most one attempt lives at a time, and at most one write is under
// way. Attempts begin and are buried on the core's loop, or, when that has stopped, are buried by
// who closes the core; the queue is written by any thread.
class OutLink : public std::enable_shared_from_this<OutLink> {
 public:
  OutLink(LinkCore* core, std::string address) : core_(core), address_(std::move(address)) {}

  // Any thread. False: it has retired, and has not looked at the message.
  bool Send(proto::Envelope&& message);
  bool Open();  // the same: opens it unless it is open or opening
  // Any thread: false while it is in use.
  bool Retire();
  // Takes no more messages. Ends the link: by force at once, else when all is written and taken.
  void Close(bool by_force);           // any thread
  // After the loop has stopped: lets go of an attempt to whose end the loop did not come.
  void Bury();

  // Called by the attempt, on gRPC's threads.
  void Established(Attempt* attempt);
  void WriteDone(Attempt* attempt, bool ok);
  void ReadFailed(Attempt* attempt);
  struct End {
    bool established = false;  // the peer had answered
    bool refused = false;
    bool denied = false;
    std::string why;
  };
  void Ended(std::shared_ptr<Attempt> attempt, End end);

  const std::string& address() const { return address_; }

 private:
  void Begin();                    // loop: a new attempt
  void Lost(const End& end);       // loop: the attempt ended, however it did
  void Down(bool refused);         // loop
  void GiveUp();                   // loop: the time to establish is over
  void Abandon();                  // loop: down, without waiting for the attempt's end
  void ArmTimer(int64_t microseconds);
  bool Writable() const;           // with mutex_ held, as the next
  void WriteNext(std::unique_lock<std::mutex>& lock);  // gives the lock back

  LinkCore* const core_;  // lives longer than the link's last attempt
  const std::string address_;

  std::mutex mutex_;
  // The first is being written while the attempt is writing.
  std::deque<std::shared_ptr<const proto::Envelope>> queue_;
  uint64_t queued_bytes_ = 0;
  bool active_ = false;       // from the first Send or Open until Down
  bool closing_ = false;
  bool overflowed_ = false;
  bool retired_ = false;
  std::shared_ptr<Attempt> attempt_;

  // Loop only.
  bool reopening_ = false;  // since a break, until established or down
  EventLoop::TimerId timer_;
  EventLoop::TimerId retry_;
};

}  // namespace sluice::internal
