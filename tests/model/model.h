// A small model of the rules by which Sluice is exact once, to be walked through completely: two
// executors, three batches, two records of one producer, one log with put-if-absent, and two
// incarnations of the job driver of which the second may start at any moment while the first lives
// on unaware. Nothing of the shipping code is here: the model checks the *design*.
//
// Messages are sets that only grow: each may be received at any time after it was sent, again, late
// or never. So delay, loss, duplication and reordering need no transitions of their own, and a step
// whose only effect is a message (a map task, an announcement, a record sent twice) is taken as
// soon as it can be: being received late is the same as being sent late.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::model {

// The rules. A test takes each away and expects to see an invariant broken.
struct Rules {
  bool put_if_absent = true;           // an append into a taken slot is refused
  bool ack_after_logged = true;        // a record is acknowledged after `block added` is durable
  bool producer_numbers = true;        // `block added` only for the record after the last logged
  bool plan_is_fixed = true;           // a new incarnation runs the logged composition
  bool share_of_own_generation = true; // a reducer folds shares of its generation only
  bool report_of_own_generation = true;
  bool layers_dropped = true;          // a grant drops provisional layers
  bool state_rolled_back = true;       // a grant loads the sealed checkpoint
  bool decided_layers_only = true;     // a checkpoint holds no undecided layer
  bool publish_after_decided = true;
};

inline constexpr int kBatches = 3;
inline constexpr int kRecords = 2;
inline constexpr int kBlocks = 2 * kRecords;  // block 2r+a: attempt a of the producer at record r
inline constexpr int kGenerations = 4;        // two of each incarnation: index 2*incarnation + n
inline constexpr int kNone = 255;

// How often each record counts: two bits per record.
using Counts = uint8_t;
// One Counts per partition; partition p is owned by executor p.
using Pair = std::array<Counts, 2>;

// What a prefix of the log says.
struct LogView {
  uint8_t length;
  uint8_t epoch;                           // of the last `epoch opened`
  uint8_t added;                           // blocks, one bit each
  uint8_t last;                            // last logged number of the producer
  uint8_t planned;                         // batches planned
  std::array<uint8_t, kBatches> blocks;    // composition of each planned batch
  uint8_t decided;
  std::array<Pair, kBatches> outputs;      // what `decided` named
  uint8_t sealed;                          // batch of the last checkpoint, 0: none
  Pair checkpoint;
};

enum class Kind : uint8_t { kNothing, kEpoch, kAdded, kPlanned, kDecided, kSealed };

// One append on its way.
struct Append {
  Kind kind;
  uint8_t epoch, slot, arg;  // arg: block, composition, batch
  Pair pair;
};

struct Driver {
  uint8_t phase;             // 0 not started, 1 opening its epoch, 2 leading, 3 fenced
  uint8_t generation;        // index; kNone before the first
  LogView view;
  Append append;
};

// What a driver said to the executors of one generation.
struct Grant {
  uint8_t sent;
  uint8_t from;              // batch of the checkpoint to load
  Pair checkpoint;
  std::array<uint8_t, 2> incarnation;              // of the executors it was granted to
  uint8_t decided;                                 // merge layers up to this batch
  std::array<uint8_t, kBatches> batch;             // 0x80 sent | 0x40 rebuild | composition
};

struct Executor {
  uint8_t incarnation;
  uint8_t generation;        // kNone before a grant
  Counts base;               // as the grant gave it
  uint8_t done;              // last batch folded
  std::array<Counts, kBatches> layers;
};

// Plain bytes without padding, all zero at first: compared and hashed as such.
struct State {
  LogView log;
  std::array<Driver, 2> drivers;
  std::array<Grant, kGenerations> grants;
  std::array<std::array<Pair, kBatches>, kGenerations> reported;   // 0x80 | counts, per executor
  std::array<std::array<Pair, kBatches>, kGenerations> parts;      // of checkpoints, likewise
  std::array<Executor, 2> executors;
  uint8_t acknowledged;      // records, in order; both attempts at the next one are under way
  std::array<uint8_t, kBatches> visible;                           // output is there
  std::array<Pair, kBatches> shown;
};

// Walks through every state that can be reached. At the first broken invariant it stops: `broken`
// then says which, and `trace` how it came to that.
struct Result {
  uint64_t states = 0;
  uint64_t ends = 0;         // states in which nothing more can happen
  bool complete = false;
  std::string broken;
  std::vector<std::string> trace;
};
struct Bounds {
  int executor_crashes = 1;
  int records = kRecords;
  int attempts = 2;          // of the producer at each record
  uint64_t states_max = 20'000'000;
};
Result Explore(const Rules& rules, const Bounds& bounds);

// One transition out of `state`, appended with its name; used by Explore.
struct Successor {
  State state;
  const char* name;
  int arg;
};
void Successors(const State& state, const Rules& rules, const Bounds& bounds,
                std::vector<Successor>& out);
State Initial();
// Empty, or the invariant that does not hold. `ended`: nothing more can happen in this state.
std::string Broken(const State& state, const Bounds& bounds, bool ended);

}  // namespace sluice::model
