// A source that replays pre-generated lines as fast as the job takes them: a receiver of the public
// interface, whose stores are reliable, and a meter that what comes out is counted with.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "bench/lines.h"
#include "driver/api/receiver.h"

namespace sluice::bench {

// Shared by the program that measures and the receiver. Thread-safe.
class Feed {
 public:
  // Up to `window` lines are received and not decided. `lines` outlives the feed.
  Feed(const Lines& lines, uint64_t window);

  // Lets another `passes` over the lines be received.
  void Allow(uint64_t passes);
  void Close();
  // The next lines to store, at most `most`; blocks while none may be sent. Empty: closed.
  std::span<const std::string_view> Next(uint64_t most);
  // `lines` more are decided.
  void Decided(uint64_t lines);
  // Blocks until all that was allowed is decided.
  void AwaitDecided();

 private:
  std::vector<std::string_view> lines_;
  const uint64_t window_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t allowed_ = 0;
  uint64_t sent_ = 0;
  uint64_t decided_ = 0;
  bool closed_ = false;
};

class FeedReceiver : public Receiver<std::string> {
 public:
  FeedReceiver(Feed* feed, uint64_t lines_per_store)
      : feed_(feed), lines_per_store_(lines_per_store) {}
  void Run(Receiving<std::string>& receiving) override;

 private:
  Feed* feed_;
  uint64_t lines_per_store_;
};

}  // namespace sluice::bench
