// A reliable receiver for the cluster benchmarks: makes its lines, says that it is ready, waits for
// the start, and stores them again and again, going on behind the last logged line when it was
// started anew. Where there is a file `stop` it ends with the pass, and notes in `sent` how many
// lines it has stored in all.
#pragma once

#include <string>

#include "sluice/sluice.h"

namespace sluice::bench {

struct ReplayOptions {
  uint64_t lines = 0;        // of one pass
  uint32_t vocabulary = 0;
  bool marked = false;
  uint64_t stop_after = 0;   // lines in all; 0: never
  uint64_t rate = 0;         // lines per second; 0: as fast as they are taken
  uint64_t lines_per_store = 16'384;
  std::string folder;        // `ready` is made there, and `go` awaited
};

class Replay : public Receiver<std::string> {
 public:
  explicit Replay(ReplayOptions options) : options_(std::move(options)) {}
  void Run(Receiving<std::string>& receiving) override;

 private:
  const ReplayOptions options_;
};

}  // namespace sluice::bench
