// A source that replays pre-generated records as fast as the job takes them: a receiver of the
// public interface, whose stores are reliable, and the gate that says how far it may go.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>

#include "driver/api/listener.h"
#include "driver/api/receiver.h"

namespace sluice::bench {

// Shared by the program that measures and the receiver. Hears from the job how many records are
// decided. Thread-safe.
class FeedGate : public StreamingListener {
 public:
  // Of `records` in one pass up to `window` are received and not decided.
  FeedGate(uint64_t records, uint64_t window) : records_(records), window_(window) {}

  // Lets another pass be received.
  void AllowPass();
  void Close();
  struct Range {
    uint64_t begin = 0;
    uint64_t count = 0;  // 0: closed
  };
  // The next records to store, at most `most`; blocks while none may be sent.
  Range Next(uint64_t most);
  // Blocks until all that was allowed is decided, with its output out.
  void AwaitDecided();
  // Batches with records so far.
  uint64_t batches() const;

  // Ends the program when the batch has failed.
  void OnBatchCompleted(const BatchInfo& batch) override;

 private:
  const uint64_t records_;
  const uint64_t window_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t allowed_ = 0;
  uint64_t sent_ = 0;
  uint64_t decided_ = 0;
  uint64_t batches_ = 0;
  bool closed_ = false;
};

// Stores `rows` again and again, `per_store` at a time, where the gate lets it. What the rows view
// may be changed between passes.
template <Record T, class Row>
class FeedReceiver : public Receiver<T> {
 public:
  FeedReceiver(FeedGate* gate, std::span<const Row> rows, uint64_t per_store)
      : gate_(gate), rows_(rows), per_store_(per_store) {}

  void Run(Receiving<T>& receiving) override {
    int64_t number = receiving.LastLogged("feed").value_or(0) + 1;
    while (!receiving.stopping()) {
      const FeedGate::Range next = gate_->Next(per_store_);
      if (next.count == 0) {
        receiving.WaitStopping(1000);
        continue;
      }
      const std::span<const Row> rows = rows_.subspan(next.begin, next.count);
      while (!receiving.Store(rows, {.producer = "feed", .first = number})) {
        if (receiving.stopping()) return;
      }
      number += static_cast<int64_t>(rows.size());
    }
  }

 private:
  FeedGate* gate_;
  std::span<const Row> rows_;
  uint64_t per_store_;
};

}  // namespace sluice::bench
