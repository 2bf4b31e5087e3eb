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
  // A process of this job is at `address`: what we send it carries that job's token.
  void RememberJob(const std::string& address, const std::string& job);
  std::string JobOf(const std::string& address);

  void OnMessage(const std::string& from, proto::Envelope message);
  void OnPeerDown(const std::string& address, bool refused);
  void OnPeerDenied(const std::string& address, const std::string& why);
  void OnLinkReset(const std::string& address);

  // Flushes and ends all links; false when some call of gRPC did not end in time.
  bool Close(MonotonicTime deadline);

  void AttemptBegan();
  void AttemptEnded();

  EventLoop& loop() { return loop_; }
  const std::string& address();  // waits for Start
  const GrpcTransportOptions& options() const { return options_; }

 private:
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
  std::map<std::string, std::string> jobs_;
  EventLoop loop_;
};

// The link towards one address. At most one attempt lives at a time, and at most one write is under
// way. Attempts begin and are buried on the core's loop only; the queue is written by any thread.
class OutLink : public std::enable_shared_from_this<OutLink> {
 public:
  OutLink(LinkCore* core, std::string address) : core_(core), address_(std::move(address)) {}

  void Send(proto::Envelope message);  // any thread
  void Open();                         // any thread: unless it is open or opening
  // Takes no more messages. Ends the link: by force at once, else when all is written and taken.
  void Close(bool by_force);           // any thread

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
  std::shared_ptr<Attempt> attempt_;

  // Loop only.
  bool reopening_ = false;  // since a break, until established or down
  EventLoop::TimerId timer_;
  EventLoop::TimerId retry_;
};

}  // namespace sluice::internal
