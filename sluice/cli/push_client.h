// The producer's end of a reliable stream: numbered records, sent again until acknowledged.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/net/security.h"

namespace sluice::cli {

// What still has to be acknowledged. Record k of the input has number k, whoever sends it and
// however often. Pure.
class PushWindow {
 public:
  struct Batch {
    int64_t first = 0;
    std::vector<std::string> records;
  };
  // A batch ends, and the window is full, at either bound; each takes one record of any size.
  struct Bounds {
    size_t batch_records = 1000;
    size_t records_max = 16'000;  // may wait for their acknowledgement
    uint64_t batch_bytes = 1 << 20;
    uint64_t bytes_max = 16 << 20;
  };
  explicit PushWindow(const Bounds& bounds) : bounds_(bounds) {}

  bool Full() const {
    return records_.size() >= bounds_.records_max || bytes_ >= bounds_.bytes_max;
  }
  void Add(std::string record);      // the next record of the input; dropped when acknowledged
  void EndOfInput() { ended_ = true; }
  // All up to `last` are acknowledged.
  void Acknowledged(int64_t last);
  // After a break: everything not acknowledged goes out again.
  void Rewind() { sent_ = acknowledged_; }
  // The next batch to send, possibly empty; a batch that is not full only when `flush` says that
  // no more input is at hand.
  Batch Next(bool flush);
  // Nothing more can be done before an acknowledgement comes.
  bool MustWait() const { return sent_ >= added_ && (ended_ || Full()); }
  bool ended() const { return ended_; }
  bool Done() const { return ended_ && acknowledged_ >= added_; }
  int64_t acknowledged() const { return acknowledged_; }
  int64_t added() const { return added_; }
  // The largest record that waits for its acknowledgement: its number, and 0 if none does.
  struct Largest {
    int64_t number = 0;
    uint64_t bytes = 0;
  };
  Largest LargestWaiting() const;

 private:
  const Bounds bounds_;
  std::deque<std::string> records_;  // numbers acknowledged_ + 1 .. added_
  uint64_t bytes_ = 0;               // of them
  int64_t acknowledged_ = 0;
  int64_t added_ = 0;
  int64_t sent_ = 0;
  bool ended_ = false;
};

struct PushOptions {
  std::string stream;
  std::string producer;
  std::string job;
  Security security;
  // A receiver that owes an answer for so long may have a successor: `find` is asked.
  std::chrono::milliseconds ask_after{3000};
};

// Gives an empty address while no receiver is up, and an error when it makes no sense to go on.
// Called on several threads, one after another.
using FindReceiver = std::function<absl::StatusOr<std::string>()>;

// Sends lines of `fd` to the receiver at the addresses that `find` names, until all are
// acknowledged; gives their number.
absl::StatusOr<int64_t> PushLines(int fd, const PushOptions& options, PushWindow* window,
                                  const FindReceiver& find);

}  // namespace sluice::cli
