// Sources of one's own: a Receiver runs on a thread of its own in a receiver executor and stores
// what it gets.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "common/codec.h"
#include "common/plan/kernel.h"

namespace sluice {

// Whose records, numbered from where: what makes a source reliable without being counted twice.
struct Numbering {
  std::string_view producer;  // empty: unnumbered
  int64_t first = 0;          // number of the first record; numbers start at 1
};

// What a receiver stores into. Thread-safe.
template <Record T>
class Receiving {
 public:
  explicit Receiving(ReceiverSink& sink) : sink_(sink) {}

  // Appends one record and returns before it is safe. Blocks while the rate is limited. False: the
  // receiver is to return from Run. One above 64 MiB is dropped, reported and counted as lost.
  template <class R>
    requires std::same_as<Own<R>, T>
  bool Store(const R& record) {
    if constexpr (std::same_as<T, std::string>) {
      return sink_.Store(record);
    } else {
      std::string bytes;
      EncodeRecord<T>(record, bytes);
      return sink_.Store(bytes);
    }
  }

  // Stores records as one block and returns once they are replicated and logged: the source may
  // then be told. Gives the last logged number of the producer; records at or below it are dropped
  // as repeats. Nothing: send them again. Throws std::length_error, and stores none, where one of
  // them has more than 64 MiB.
  template <class R>
    requires std::same_as<Own<R>, T>
  std::optional<int64_t> Store(std::span<const R> records, Numbering numbering) {
    thread_local uint64_t bytes_before = 0;  // stores of one thread are about equally large
    EncodedBatch batch(kFixedSize<T>);
    if constexpr (std::same_as<R, std::string_view>) {
      batch.AppendAll(records);
    } else if constexpr (std::same_as<R, T> && internal::kSameBytes<T>) {
      batch.AppendFixed(reinterpret_cast<const char*>(records.data()), records.size());
    } else {
      batch.Reserve(bytes_before + bytes_before / 16, static_cast<uint32_t>(records.size()));
      for (const R& record : records) {
        EncodeRecord<T>(record, batch.bytes());
        batch.EndRecord();
      }
      bytes_before = batch.size();
    }
    return sink_.StoreReliably(std::move(batch), numbering.producer, numbering.first);
  }

  // The last logged number of a producer, 0 for a new one. Nothing: the receiver is to return from
  // Run.
  std::optional<int64_t> LastLogged(std::string_view producer) {
    return sink_.LastLogged(producer);
  }
  bool stopping() const { return sink_.stopping(); }
  // Blocks until the receiver is to stop or so many milliseconds are over; true when it is to stop.
  bool WaitStopping(int64_t milliseconds) { return sink_.WaitStopping(milliseconds); }
  // Shows a problem; the receiver goes on.
  void ReportError(std::string_view message) { sink_.ReportError(message); }

 private:
  ReceiverSink& sink_;
};

// Derive from Receiver and implement Run. It returns soon after stopping() holds; when it returns
// earlier or throws, a fresh copy is run after a back-off. Must be copyable.
template <Record T>
class Receiver {
 public:
  using RecordType = T;
  virtual ~Receiver() = default;
  virtual void Run(Receiving<T>& receiving) = 0;
};

namespace internal {

template <class R>
class UserReceiverBody final : public ReceiverBody {
 public:
  explicit UserReceiverBody(R receiver) : receiver_(std::move(receiver)) {}
  void Run(ReceiverSink& sink) override {
    Receiving<typename R::RecordType> receiving(sink);
    receiver_.Run(receiving);
  }

 private:
  R receiver_;
};

}  // namespace internal
}  // namespace sluice
