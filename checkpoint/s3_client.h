// Requests to an S3 endpoint until there is an answer that means something: what is tried again,
// for how long, and with which keys and time. The one place with that policy.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/s3_credentials.h"
#include "checkpoint/s3_transport.h"
#include "common/clock.h"

namespace sluice {

struct S3ClientOptions {
  int64_t deadline_ms = 20'000;  // from the first try of a request; no try begins after it
  int64_t first_delay_ms = 50;   // tries are apart by a random time up to it, doubled each time
  int64_t delay_max_ms = 5'000;
  int64_t try_ms = 30'000;       // one try may take so long, and a second more for each MiB
  Clock* clock = &RealClock();
  std::function<void(int64_t microseconds)> wait;  // null: this thread waits
  uint64_t seed = 0;                               // of nonces and delays; 0: random
};

// Thread-safe.
class S3Client {
 public:
  S3Client(std::unique_ptr<S3Transport> transport, std::unique_ptr<S3KeySource> keys,
           S3ClientOptions options);

  // An answer of 2xx; 404, when the bucket is there; or 412. Errors:
  // refused (exit 3)   the bucket is missing or elsewhere, or the store does not know the request
  // PermissionDenied   the keys, or what they may do; the server's certificate
  // ResourceExhausted  the store is full
  // Unavailable        all else: what the request did is unknown
  absl::StatusOr<S3Answer> Call(const S3Request& request);

  // Waits before try number `tries` + 1 of something that Call cannot try again by itself.
  void WaitBeforeTry(int tries);
  // 32 random hex digits, never the same twice.
  std::string NewNonce();
  // Now, by the store's clock as far as its answers have shown it.
  int64_t StoreTimeS() const { return clock_->WallMs() / 1000 + offset_s_; }
  // When the last answer was made, by the store's own clock; StoreTimeS() before there was one.
  int64_t AnsweredAtS() const {
    const int64_t answered_at_s = answered_at_s_;
    return answered_at_s != 0 ? answered_at_s : StoreTimeS();
  }

 private:
  struct Trying;
  enum class Verdict { kAnswer, kAgain, kAgainNow, kEnd };
  // Sets trying->error for all but kAnswer.
  Verdict Judge(const S3Request& request, const S3Answer& answer, Trying* trying);
  Verdict JudgeKeys(const S3Answer& answer, Trying* trying);
  uint64_t Random();

  const std::unique_ptr<S3Transport> transport_;
  const std::unique_ptr<S3KeySource> keys_;
  const S3ClientOptions options_;
  Clock* const clock_;
  std::atomic<int64_t> offset_s_ = 0;  // of the store's clock from ours
  std::atomic<int64_t> answered_at_s_ = 0;
  std::mutex mutex_;                   // of the generator
  std::mt19937_64 generator_;
};

}  // namespace sluice
