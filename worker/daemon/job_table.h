// What a worker daemon knows of each job that has, or had, a session with it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/clock.h"
#include "proto/cluster.pb.h"

namespace sluice {

struct WorkerJob {
  uint64_t instance = 0;
  std::string name;
  uint64_t epoch = 0;            // of the session; 0: only blocks came so far
  uint64_t session = 0;          // number of the last session of this epoch
  uint64_t releases = 0;         // number of the last release of this epoch
  std::string driver;            // address of the job driver
  int64_t lease_us = 5'000'000;
  uint64_t durable_slot = 0;     // highest seen
  uint32_t replication = 2;
  uint32_t replication_min = 1;
  std::string received_log;      // store that blocks are in before they are announced; or empty
  proto::ClusterMembers members;
  MonotonicTime heard = 0;       // from the job driver
  MonotonicTime next_beat = 0;
  bool silent = false;

  const proto::ClusterMembers::Member* MemberById(const std::string& worker_id) const {
    for (const auto& member : members.workers()) {
      if (member.worker_id() == worker_id) return &member;
    }
    return nullptr;
  }
  // Whether the member of that name is that process.
  bool Has(const std::string& worker_id, uint64_t incarnation) const {
    const auto* member = MemberById(worker_id);
    return member != nullptr && member->incarnation() == incarnation;
  }
  const proto::ClusterMembers::Member* MemberAt(const std::string& address) const {
    for (const auto& member : members.workers()) {
      if (member.address() == address) return &member;
    }
    return nullptr;
  }
};

using WorkerJobs = std::map<uint64_t, WorkerJob>;

}  // namespace sluice
