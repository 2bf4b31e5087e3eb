// What a ForeachPartition of the simulated job writes into: a sink that does as its users are told.
// It keeps one entry for each (batch, partition) and refuses whoever comes with a lower fence than
// it has seen there.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/plan/kernel.h"

namespace sluice::sim {

struct Site;

class Sink {
 public:
  using Rows = std::vector<std::string>;

  // Before anything is written: whose invariants Write breaks when it must not be called now.
  void Attach(Site* site) { site_ = site; }
  void Write(const PartitionIdentity& identity, const BatchView& records);
  // Null: nothing was written there.
  const Rows* Find(int64_t batch_ms, uint32_t partition) const;

 private:
  struct Written {
    uint64_t fence = 0;
    Rows rows;
  };
  Site* site_ = nullptr;
  std::map<std::pair<int64_t, uint32_t>, Written> written_;
};

}  // namespace sluice::sim
