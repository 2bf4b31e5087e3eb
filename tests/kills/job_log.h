// What a job's driver log says so far, for whoever judges the job from outside. It folds the
// entries by itself, so that a mistake of the job driver's own folding is not shared.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "checkpoint/rocksdb_log_follower.h"
#include "proto/batch.pb.h"
#include "proto/log.pb.h"

namespace sluice::kills {

// (epoch, number): as generations are ordered.
using GenerationKey = std::pair<uint64_t, uint64_t>;

// Not thread-safe. Invariant: batches by their time in milliseconds.
struct JobLog {
  // Failed precondition when the record breaks a rule of the log: a batch planned or decided
  // twice or skipped, a block added twice or taken by two batches, a gap in a producer's numbers.
  absl::Status Apply(const FollowedRecord& followed);

  // Reads what is new. Unavailable: try again.
  absl::Status CatchUp(RocksDbLogFollower& follower);

  uint64_t slot = 0;   // of the last record
  uint64_t epoch = 0;  // the highest opened
  proto::JobBegun job;
  std::map<int64_t, proto::Composition> planned;
  std::map<int64_t, proto::Decided> decided;
  std::map<int64_t, std::set<uint32_t>> published;
  int64_t sealed_ms = 0;
  uint64_t sealed = 0;  // checkpoints
  // Of the last decided batch; its epoch is that of the record that decided it.
  GenerationKey decided_in{};

  using BlockKey = std::tuple<uint32_t, uint64_t, uint64_t>;  // stream, incarnation, number
  std::map<BlockKey, proto::BlockInfo> blocks;
  std::set<BlockKey> waiting;  // for a batch
  std::map<std::pair<uint32_t, std::string>, int64_t> producers;

 private:
  absl::Status Apply(const proto::Entry& entry);
  absl::Status Add(const proto::BlockInfo& block);
  absl::Status Plan(const proto::Composition& composition);
  absl::Status Decide(const proto::Decided& batch);
};

}  // namespace sluice::kills
