// What a job driver is told at its start; the same for every incarnation with one configuration.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/job_files.h"

namespace sluice {

struct JobDriverOptions {
  std::string job;
  std::string daemon_address;  // at the start; empty: no driver daemon (local mode)
  std::string own_address;
  bool local = false;          // all of the job is one process, and what it received is with it
  bool accept_loss = false;    // then: it goes on without lost blocks of whatever source
  std::string binary_digest;
  std::string program;         // base name of the binary, for people; empty: not known
  std::vector<JobFile> files;  // shipped with the job, for executors
  std::string objects;         // where the checkpoint store keeps its objects, for people
  int64_t pid = 0;
  std::vector<std::string> args;            // the program's own flags, for executors
  std::map<std::string, std::string> conf;  // set explicitly, for executors

  int64_t batch_interval_ms = 1000;
  uint32_t partitions = 0;                  // 0: four per slot of the cluster
  uint32_t key_groups = 1024;
  // Plans nothing: finishes what was planned, in the shape it was planned in, seals a checkpoint of
  // it, and ends with kExitStartAgain. Else a recovered job goes on in the shape that is said here.
  bool finish_only = false;
  int64_t lease_us = 5'000'000;
  uint32_t replication = 2;
  uint32_t replication_min = 1;
  std::string received_log;                 // store that received blocks are in, too; empty: none
  bool deltas = false;                      // lost state comes from deltas, not from running again
  uint32_t task_max_failures = 4;
  bool straggler_copies = false;            // of tasks that run much longer than others
  bool skip_failed_batches = false;
  uint32_t bad_records_max = 0;             // that a batch may set aside; 0: they fail it
  int64_t checkpoint_interval_ms = 10'000;
  int64_t drain_deadline_us = 30'000'000;
  uint32_t driver_restarts = 10;            // for the driver daemon
  bool resumable = true;                    // by another job driver, after this one has ended
  int64_t file_settle_ms = 0;               // a file younger than this waits
  uint64_t max_batch_input = 0;             // bytes of files in a batch; 0: no bound
  int64_t push_producer_expiry_ms = 604'800'000;  // of quiet, then a producer is forgotten
  uint32_t push_producers_max = 100'000;    // that a push stream knows; new ones are refused
  bool backpressure = false;                // receivers are held to what batches manage
  double initial_rate = 0;                  // then: until a batch was measured; 0: no bound
  uint32_t batches_in_flight_max = 8;       // granted and not yet decided
  // Not durably decided, or decided and not published: beyond it a later batch takes all waiting
  // input.
  uint32_t batches_undecided_max = 64;
  // Batches behind the last sealed checkpoint, all of which the driver holds and a rollback may run
  // again; or those of three checkpoint intervals, if they are more. Beyond it there is one a
  // minute, for the checkpoint that is then tried.
  uint32_t batches_unsealed_max = 100'000;
};

}  // namespace sluice
