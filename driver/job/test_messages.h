// What tests of the job driver's cores say in the name of workers, and read in what they are sent.
#pragma once

#include <string>

#include "proto/cluster.pb.h"
#include "proto/executor.pb.h"

namespace sluice {

// The incarnation of every worker daemon that was not started anew.
inline constexpr uint64_t kFirstIncarnation = 1;

inline void AddHolder(proto::BlockAnnounce& announce, const std::string& worker,
                      uint64_t incarnation = kFirstIncarnation) {
  announce.add_holders(worker);
  announce.add_incarnations(incarnation);
}

inline proto::LeaseBeat BeatOf(const std::string& worker, uint64_t job_instance) {
  proto::LeaseBeat beat;
  beat.set_worker_id(worker);
  beat.set_incarnation(kFirstIncarnation);
  beat.set_job_instance(job_instance);
  beat.set_reply(true);
  return beat;
}

inline uint64_t RecordsIn(const proto::GrantedBatch& batch) {
  uint64_t records = 0;
  for (const auto& stage : batch.stages()) {
    for (const auto& task : stage.tasks()) {
      for (const auto& piece : task.pieces()) {
        records += piece.block().records() + piece.inlined().records();
      }
    }
  }
  return records;
}

}  // namespace sluice
