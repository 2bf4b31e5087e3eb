// The producer's end of a reliable stream: numbered records, sent again until acknowledged.
#pragma once

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
  // `records_max`: how many records may wait for their acknowledgement.
  PushWindow(size_t batch_records, size_t records_max)
      : batch_records_(batch_records), records_max_(records_max) {}

  bool Full() const { return records_.size() >= records_max_; }
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

 private:
  const size_t batch_records_;
  const size_t records_max_;
  std::deque<std::string> records_;  // numbers acknowledged_ + 1 .. added_
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
};

// Sends lines of `fd` to the receiver at the addresses that `find` names, until all are
// acknowledged; gives their number. `find` gives an empty address while no receiver is up, and an
// error when it makes no sense to go on.
absl::StatusOr<int64_t> PushLines(int fd, const PushOptions& options, PushWindow* window,
                                  const std::function<absl::StatusOr<std::string>()>& find);

}  // namespace sluice::cli
