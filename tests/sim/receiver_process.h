// A receiver executor: the shipping core, with the simulator's shell.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tests/sim/arena.h"
#include "tests/sim/site.h"
#include "worker/receiver/buffer_pools.h"
#include "worker/receiver/receiver_core.h"

namespace sluice::sim {

class ReceiverProcess : public Process {
 public:
  ReceiverProcess(Site* site, const std::string& host, std::string worker_id, std::string daemon,
                  proto::StartExecutor request);
  ~ReceiverProcess() override;
  void OnMessage(const std::string& from, proto::Envelope message) override;
  void OnPeerDown(const std::string&, bool) override {}
  void OnLinkReset(const std::string&) override {}
  const std::string& address() const { return address_; }
  uint32_t stream() const { return request_.streams(0); }
  // What it leaves when it crashes.
  const SimArena& arena() const { return arena_; }

  // What a producer asks for. The answers go back through `answer`, unless this dies first.
  using Answer = std::function<void(std::optional<int64_t> last)>;
  void AskLast(const std::string& producer, Answer answer);
  void Push(const std::string& producer, int64_t first, int count, Answer answer);

 private:
  void Beat();
  void Tick();
  void TakePlain();
  void Carry(receiver::Commands commands);
  void Feed(const receiver::Event& event);

  Site* const site_;
  const std::string worker_id_;
  const std::string daemon_;
  const proto::StartExecutor request_;
  std::string address_;
  bool ready_ = false;
  int readies_left_ = 0;
  SimArena arena_;
  std::unique_ptr<BufferPool> pool_;
  std::unique_ptr<ReceiverCore> core_;
  uint64_t next_request_ = 1;
  struct Request {
    RecordBatch records;
    Answer answer;
  };
  std::map<uint64_t, Request> requests_;
};

}  // namespace sluice::sim
