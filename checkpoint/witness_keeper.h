// Writes the witness of the log's durable length behind the appends, beside the next one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "checkpoint/length_witness.h"

namespace sluice {

// Thread-safe once it is started. A synced record needs no witness to survive a kill; the witness
// is there to find what a disk loses later. So it may follow its append by one, and an append
// costs one sync and not two.
class WitnessKeeper {
 public:
  // `witness` is loaded. With `sync` off nothing is synced.
  WitnessKeeper(LengthWitness witness, bool sync) : witness_(std::move(witness)), sync_(sync) {}
  // Ends when the last length noted is written, or cannot be.
  ~WitnessKeeper();

  void Start() { thread_ = std::thread([this] { Run(); }); }

  // Returns when all lengths noted before are durable, then begins to write this one. An error is
  // that of the earlier ones; this one is then not noted. After a full disk the next call tries
  // them again; any other error stays.
  absl::Status Note(uint64_t length);

  // The highest length noted or loaded.
  std::optional<uint64_t> length() const;

 private:
  void Run();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  LengthWitness witness_;  // while writing_, only the thread's
  const bool sync_;
  std::optional<uint64_t> noted_;
  bool writing_ = false;
  bool ending_ = false;
  absl::Status failed_;
  std::thread thread_;
};

}  // namespace sluice
