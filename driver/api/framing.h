// How the bytes of a connection become records.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "driver/api/receiver.h"

namespace sluice {

// What a framing function hands its records to: emit(record), where the record may be a view.
template <Record T>
class RecordEmit {
 public:
  explicit RecordEmit(ReceiverSink& sink) : receiving_(sink) {}
  void operator()(const T& record) { Put(record); }
  template <class R>
    requires(std::same_as<Own<R>, T> && !std::same_as<R, T>)
  void operator()(const R& record) {
    Put(record);
  }
  bool storing() const { return storing_; }  // false: the receiver is to stop

 private:
  template <class R>
  void Put(const R& record) {
    storing_ = receiving_.Store(record) && storing_;
  }
  Receiving<T> receiving_;
  bool storing_ = true;
};

// size_t f(std::string_view bytes, RecordEmit<T>& emit): emits the records that are whole at the
// front of `bytes` and returns how many bytes those were; 0 asks for more. What it leaves it sees
// again, with what came since. Each connection is served by a fresh copy of f, on one thread. What
// it throws ends the connection.
template <class F, class T>
concept FramingFunction = std::copy_constructible<F> &&
    requires(F& f, std::string_view bytes, RecordEmit<T>& emit) {
      { f(bytes, emit) } -> std::convertible_to<size_t>;
    };

namespace internal {

// No more bytes than this wait for the end of their record.
inline constexpr size_t kFrameBytesMax = size_t{64} << 20;

// Serves one connection. Not thread-safe.
class Framer {
 public:
  virtual ~Framer() = default;
  // Takes what has come. False: the receiver is to stop, or the connection is to be closed for the
  // reason in `error`.
  virtual bool Feed(std::string_view bytes, ReceiverSink& sink, std::string& error) = 0;
  // Nothing more comes. `orderly`: because the other side has closed; else the connection broke,
  // and what waits for its end is not whole. What is wrong with that goes to `error`.
  virtual void End(bool orderly, ReceiverSink& sink, std::string& error) = 0;
};
using FramerFactory = std::function<std::unique_ptr<Framer>()>;

// Bytes that wait for the end of their record.
class PendingBytes {
 public:
  // All that waits and what has come, in one piece, valid until Keep.
  std::string_view With(std::string_view bytes) {
    if (kept_.empty()) return bytes;
    kept_.append(bytes);
    return kept_;
  }
  // The rest of what With gave. False: too much.
  bool Keep(std::string_view rest);
  size_t size() const { return kept_.size(); }

 private:
  std::string kept_;
};

std::string EndedWithin(size_t bytes);    // "… in the middle of a record"
std::string FrameTooLong();

template <class T, class F>
class UserFramer final : public Framer {
 public:
  explicit UserFramer(F f) : f_(std::move(f)) {}

  bool Feed(std::string_view bytes, ReceiverSink& sink, std::string& error) override {
    RecordEmit<T> emit(sink);
    std::string_view left = pending_.With(bytes);
    while (!left.empty()) {
      const size_t used = f_(left, emit);
      if (!emit.storing()) return false;
      if (used == 0) break;
      if (used > left.size()) throw std::logic_error("a framing used more bytes than there were");
      left.remove_prefix(used);
    }
    if (pending_.Keep(left)) return true;
    error = FrameTooLong();
    return false;
  }
  void End(bool, ReceiverSink&, std::string& error) override {
    if (pending_.size() > 0) error += EndedWithin(pending_.size());
  }

 private:
  F f_;
  PendingBytes pending_;
};

FramerFactory LineFramers();
// Frames of 4 bytes of length, most significant first, and an encoded record batch of records with
// this fixed size (0: of any size).
FramerFactory RawFramers(uint32_t fixed_size);

// Connects to a TCP server again and again. A connection that fails, ends, or is closed by its
// framer is followed by another, after a back-off from 0.1 to 5 s that starts over with every
// connection that gave something.
std::shared_ptr<const ReceiverFactory> MakeSocketReceiver(std::string host, int port,
                                                          FramerFactory framers);

}  // namespace internal
}  // namespace sluice
