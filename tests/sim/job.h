// What the simulator runs. Its own job: real small kernels over pushed records and files.
//
//   pushed, files, plain -> Sum (by key, with state)          -> text files   exact, byte for byte
//   pushed        -> Spread (split by attempt, state)  -> text files   only its totals are defined
//   Sum           -> Print
//   Sum           -> text files that roll
//   Sum           -> ForeachPartition, where there is an effect
//
// What is pushed is numbered by its producers; plain is a receiver whose source cannot send again.
// A record is "producer number" or "plain number", a line of a file "file number"; all are summed
// by number % 7. One record may be poison: the batch that has it fails and is skipped, or the
// record is set aside. Or user code fails behind the shuffle, at some of the batches only, so that
// what was set aside is good in another one: at a number, which spoils its key, or at a row of Sum.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "common/plan/graph.h"
#include "tests/sim/sink.h"

namespace sluice::sim {

inline constexpr NodeId kPushedNode = 0;
inline constexpr NodeId kFilesNode = 1;
inline constexpr NodeId kPlainNode = 2;

// Any job whose node 0 is a push source of the name "pushed" and whose node 1 is a file source,
// with outputs to text files and one Print, one ForeachBatch and one ForeachPartition at most.
struct Job {
  const LineageGraph* graph = nullptr;
  std::set<OutputId> loose;        // only their totals are defined
  int64_t batch_interval_ms = 0;   // 0: any
  bool plain = false;              // node 2 is a receiver whose source cannot send again
  Sink* sink = nullptr;            // what its ForeachPartition writes into
};

using Effect = std::function<void(const PartitionIdentity&, const BatchView&)>;

// The simulator's own, and which of its outputs is loose. `attempts` is counted up by every run of
// the Spread kernel and decides how it splits. With an effect there is a ForeachPartition.
inline constexpr OutputId kSpreadOutput = 1;
struct Poison {  // empty: there is none
  std::string record;  // where it is read
  std::string number;  // "key number", where it is summed
  std::string row;     // how one begins that is printed
};
LineageGraph MakeJob(uint64_t* attempts, const Poison& poison, Effect effect);
// Where a key "k5" of Sum is.
uint32_t PartitionOfSum(std::string_view key, uint32_t partitions);

}  // namespace sluice::sim
