// What goes wrong in a run of the simulator, and how often. Times are virtual.
#pragma once

#include <cstdint>

#include "tests/sim/random.h"

namespace sluice::sim {

// Probabilities per event unless said otherwise; 0 switches a fault off.
struct Faults {
  // Network, per message between hosts. A lost message breaks its link; half of the breaks are
  // told to the sender, the others it never hears of.
  double lose = 0.01;
  double duplicate = 0.01;
  double stale = 0.1;              // of the second copies: comes up to …
  int64_t stale_us_max = 60'000'000;  // later, in another generation or epoch
  double reorder = 0.01;           // overtakes what was sent before it on the same link
  int64_t delay_us_max = 5'000;    // evenly from 50 us on
  double slow = 0.005;             // and then takes up to …
  int64_t slow_us_max = 800'000;

  // Log store and object store, per operation.
  double log_fails = 0.01;         // without effect
  double log_unknown = 0.02;       // with effect, but the answer is an error
  double log_slow = 0.02;          // takes up to a second
  double objects_fail = 0.08;      // per put: a checkpoint fails, its generation goes on
  double objects_slow = 0.03;
  double objects_unread = 0.05;    // per start, load of state and block: the first read of it fails
  double block_store_full = 0.01;  // a daemon has no room for a block; later it has
  double block_store_slow = 0.02;  // its disk takes long for a replica

  double outputs_away = 0.05;      // per look of a job driver at their folders
  double outputs_slow = 0.05;      // per step of a publication
  double outputs_unseen = 0.03;    // by a new executor, of a job that has decided batches

  // User code, per task.
  double task_throws = 0.003;
  double task_slow = 0.01;
  double map_throws = 0.003;       // when it has run
  // Per message to a producer.
  double ack_lost = 0.05;

  // Mean time between two of the disasters below, and the weight of each.
  int64_t disaster_us = 1'200'000;
  int crash_job_driver = 4;
  int pause_job_driver = 3;        // for longer than its relaunch takes: it comes back as a zombie
  int crash_executor = 4;
  int crash_receiver = 3;
  int crash_daemon = 3;            // and with it its executors and the blocks in its memory
  int crash_node = 2;
  // Only where there is a received-data log:
  int crash_all_nodes = 2;         // at once
  int damage_checkpoint = 2;       // the newest, while the one before it is whole
  int pause_node = 2;              // longer than a lease
  int cut_one_way = 4;             // one host does not hear another
  int cut_both_ways = 3;
  int full_log = 2;                // for a while
  int forget_unsynced = 2;         // the store answers "durable", and its node loses power
  int jump_wall_clock = 1;
  int lose_membership = 2;         // the driver daemon crashes and comes back
  int reset_links = 3;             // of one host, all at once
  int reshape = 2;                 // started again with other partitions, or another interval
};

// What may be configured and must not matter.
struct Knobs {
  int64_t batch_interval_ms = 100;
  int64_t checkpoint_interval_ms = 1000;
  int64_t lease_us = 1'000'000;
  uint32_t in_flight_max = 8;
  uint32_t undecided_max = 64;
  uint32_t workers = 3;
  uint32_t slots = 2;
  uint32_t partitions = 4;
  uint64_t chunk_bytes = 1 << 20;  // of share bundles
  uint32_t block_records = 64;
  uint32_t producers = 2;
  bool backpressure = false;
  bool deltas = false;             // recovery by deltas, not by running batches again
  bool straggler_copies = false;
  uint32_t replication_min = 2;    // without a received-data log
  bool state_on_disk = false;      // of executors, in a database in memory
  bool received_log = false;       // and then nodes take the last copies of blocks along
  int64_t faults_until_us = 6'000'000;
  bool drained = false;            // before the faults end
  bool cancelled = false;          // and taken up again, before that
  bool one_stays_away = false;     // a worker, when all other faults are over
  bool bad_records_aside = false;  // else the batch of a bad record is skipped
  // What a task takes for each record of its source, in one of the slots; 0: each task takes as
  // long as chance has it, in a slot of its own. And a load of state for each block of deltas that
  // it fetches from other nodes, so many at once, and for each KiB of what is its own.
  int64_t record_us = 0;
  int64_t delta_block_us = 0;
  int64_t delta_reads = 1;
  int64_t delta_kib_us = 0;
};

inline Knobs RandomKnobs(Random& random) {
  Knobs knobs;
  knobs.batch_interval_ms = random.OneOf({50, 100, 200, 400});
  knobs.checkpoint_interval_ms = random.OneOf({200, 500, 1500});
  knobs.lease_us = random.OneOf({300'000, 600'000, 1'200'000});
  knobs.in_flight_max = static_cast<uint32_t>(random.OneOf({1, 2, 8}));
  knobs.undecided_max = static_cast<uint32_t>(random.OneOf({4, 16, 64}));
  knobs.workers = static_cast<uint32_t>(random.OneOf({3, 3, 4}));
  knobs.slots = static_cast<uint32_t>(random.OneOf({1, 2}));
  knobs.partitions = static_cast<uint32_t>(random.OneOf({1, 3, 5}));
  knobs.chunk_bytes = static_cast<uint64_t>(random.OneOf({100, 1 << 20}));
  knobs.block_records = static_cast<uint32_t>(random.OneOf({1, 4, 64}));
  knobs.producers = static_cast<uint32_t>(random.OneOf({1, 2}));
  knobs.received_log = random.Chance(0.4);
  knobs.bad_records_aside = random.Chance(0.5);
  knobs.backpressure = random.Chance(0.5);
  knobs.deltas = random.Chance(0.5);
  knobs.straggler_copies = random.Chance(0.7);
  return knobs;
}

}  // namespace sluice::sim
