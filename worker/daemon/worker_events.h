// What goes in and out of the worker daemon's core.
#pragma once

#include <compare>
#include <cstdint>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/net/send.h"
#include "common/protocol_version.h"
#include "proto/cluster.pb.h"
#include "worker/shm/block_key.h"

namespace sluice {

struct WorkerConfig {
  std::string worker_id;
  uint64_t incarnation = 0;  // random, one per start
  std::string address;       // of this daemon's link server
  std::string host;
  uint32_t slots = 1;
  std::string machine = "x86_64";
  uint32_t protocol = kProtocolVersion;
  int64_t pid = 0;                 // of the daemon, for people
  // Of the driver daemon, or several joined by commas, one of which leads; empty: local mode, there
  // is none.
  std::string driver_address;
  bool starts_processes = true;    // false: executors attach by themselves (local mode, simulator)
  int64_t tick_us = 20'000;        // how often the shell sends Tick
  int64_t ended_jobs_kept_us = 604'800'000'000;  // blocks of one whose driver is silent
};

// Names one executor for as long as it lives, over changes of its job's epoch.
struct ExecutorKey {
  uint64_t job_instance = 0;
  uint64_t epoch = 0;  // in which it was started
  uint32_t executor = 0;
  auto operator<=>(const ExecutorKey&) const = default;
};

namespace worker {

// ---- events -------------------------------------------------------------------------------

struct Tick {
  uint64_t blocks_bytes = 0;  // held by the block store
};
struct Received {
  std::string from;
  proto::Envelope message;
};
struct PeerDown {
  std::string address;
  bool refused = false;
};
struct PeerDenied {
  std::string address;
  std::string why;
};
struct LinkReset {
  std::string address;
};
// The answer to StoreSlice.
struct SliceStored {
  proto::BlockInfo info;      // as sealed: bytes and checksum filled in
  bool ok = false;
  bool no_room = false;       // may work later
  std::string error;
  std::string inlined;        // no room: the bytes that came inside the command, given back
};
// A peer's block has come whole, and was stored or not.
struct CopyStored {
  std::string from;
  uint64_t incarnation = 0;  // of the daemon that sent it
  proto::BlockInfo info;
  bool ok = false;
  std::string error;
};
// This daemon's own copy could not be read.
struct CopyUnreadable {
  BlockKey block;
  std::string error;
  bool damaged = false;  // and never can be
};
// The answer to LogBlock.
struct BlockLogged {
  BlockKey block;
  std::string error;  // empty: the checkpoint store has it
};
// The answer to ReadLogged: the block is stored here, or not.
struct LoggedRead {
  proto::BlockInfo info;
  bool ok = false;
  bool gone = false;  // the checkpoint store answered, and does not have it whole
  std::string error;
};
struct BinaryReady {
  std::string digest;
  std::string path;
  std::string error;     // not empty: it could not be had
  bool refused = false;  // or it was had and can never run here
};
struct ProcessStarted {
  ExecutorKey executor;
  int64_t pid = 0;
  std::string error;
};
// A slice that a dead receiver executor left in its arena.
struct LeftInArena {
  BlockKey block;      // number 0: the slice was open
  bool reliable = false;
  uint64_t arena_offset = 0;
  uint32_t records = 0;
};
struct ProcessReaped {
  ExecutorKey executor;
  std::string cause;        // "exit 1", "signal 11"
  bool own_fault = false;   // a signal that its own code raised, or an exit of its own
  std::vector<proto::ExecutorExited::RunningTask> tasks;
  std::vector<LeftInArena> left;
  bool by_itself = false;   // no signal from outside ended it
};
struct DrainRequested {
  MonotonicTime deadline = 0;
};

using Event = std::variant<Tick, Received, PeerDown, PeerDenied, LinkReset, SliceStored,
                           CopyStored, CopyUnreadable, BlockLogged, LoggedRead, BinaryReady,
                           ProcessStarted, ProcessReaped, DrainRequested>;

// ---- commands -----------------------------------------------------------------------------

// Seal a slice: answered by SliceStored.
struct StoreSlice {
  ExecutorKey executor;  // whose arena holds it
  proto::SealSlices::Slice slice;
};
// Send a block to a peer daemon, in BlockCopy messages.
struct SendCopy {
  proto::BlockInfo info;
  std::string to;
  uint64_t incarnation = 0;  // this daemon's
};
// Write a block to the checkpoint store there. A block is named once at a time.
struct LogBlock {
  BlockKey block;
  std::string store;
};
// Read a block from the checkpoint store there.
struct ReadLogged {
  proto::BlockInfo info;
  std::string store;
};
struct DropBlock {
  BlockKey block;
};
struct DropJob {
  uint64_t job_instance = 0;
};
struct FetchBinary {
  std::string digest;
  std::string driver = {};  // that holds it
};
// Of the binaries and files fetched before, only these are needed.
struct KeepBinaries {
  std::set<std::string> digests;
};
struct StartProcess {
  proto::StartExecutor request;
  std::string binary_path;
  std::string driver = {};  // that holds the job's files
};
struct EndProcess {
  ExecutorKey executor;
  bool at_once = false;  // SIGKILL, else SIGTERM
};
// The executor has been reaped and nothing of its arena is needed any more.
struct ForgetExecutor {
  ExecutorKey executor;
};
struct Say {
  std::string line;
};
struct Exit {
  int code = 0;
  std::string line;  // why, for people; may be empty
};

using Command =
    std::variant<Send, StoreSlice, SendCopy, LogBlock, ReadLogged, DropBlock, DropJob,
                 FetchBinary, KeepBinaries, StartProcess, EndProcess, ForgetExecutor, Say, Exit>;
using Commands = std::vector<Command>;

}  // namespace worker
}  // namespace sluice
