// Events into and commands out of the job driver's core. The shell (job_driver.cc) and the
// simulator carry them out.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/net/send.h"
#include "proto/cluster.pb.h"
#include "proto/log.pb.h"

namespace sluice {

// ---- events --------------------------------------------------------------------------------

struct TimerDue {
  int64_t wall_ms = 0;
};
struct MessageIn {
  std::string from;
  proto::Envelope message;
};
struct PeerDown {
  std::string address;
  bool refused = false;  // its host answered that nobody listens there
};
// The append in flight is durable as one slot.
struct LogDurable {
  uint64_t slot = 0;
  uint32_t checksum = 0;
};
// It is never appended to again by this driver.
struct LogFailed {
  int exit_code = 0;  // as a rule that of fenced, damaged, or start again
  std::string message;
};
struct ListedFile {
  std::string path;
  uint64_t size = 0;
  int64_t modified_ns = 0;
  bool settling = false;  // changed a moment ago: it is there, and not to be taken yet
  bool old = false;       // from before the source's first moment: there, and not to be taken
};
// Answers ListSources: directories listed, queues and the functions of batch values asked.
struct SourcesListed {
  int64_t batch_ms = 0;
  // By source node; in order of path. A node whose directory cannot be listed has an error too.
  std::map<uint32_t, std::vector<ListedFile>> files;
  std::map<uint32_t, std::string> errors;
  std::map<uint32_t, std::vector<proto::InlineRecords>> queued;  // empty vector: no dataset
  std::vector<std::string> values;  // as the graph numbers them
  std::string error;  // what such a function threw: the batch cannot be planned
};
struct PublishDone {
  int64_t batch_ms = 0;
  uint32_t output = 0;
  std::string error;  // empty: published
  bool fatal = false; // the target is another job's
};
// Answers MarkOutputs, and says of outputs in words for people.
struct OutputsMarked {
  std::string refused;               // one that the job driver cannot write, and why
  std::vector<std::string> passing;  // those of which that is not known now, and why
  std::vector<uint32_t> outputs;     // that executors are to look at
};
struct ForeachDone {
  int64_t batch_ms = 0;
  uint32_t output = 0;
  uint64_t generation = 0;
  std::string error;
};
struct ManifestPut {
  int64_t batch_ms = 0;
  std::string name;
  std::string error;
};
struct KeptAside {
  std::string name;
  std::string error;  // empty: it is in the store, by this put or an earlier one
  bool whole = false;  // it is not: see KeepAside
};
// Receivers whose blocks are in the received-data log and not known: by stream and incarnation.
// Told after a collection.
struct ReceivedOrphans {
  std::set<std::pair<uint32_t, uint64_t>> receivers;
};
struct StopRequested {
  bool cancel = false;      // ends CANCELLED instead of FINISHED
  int64_t deadline_us = 0;  // from now
};
using DriverEvent = std::variant<TimerDue, MessageIn, PeerDown, LogDurable, LogFailed,
                                 SourcesListed, PublishDone, OutputsMarked, ForeachDone,
                                 ManifestPut, KeptAside, ReceivedOrphans, StopRequested>;

// ---- commands ------------------------------------------------------------------------------

// One append; the next is issued only after its LogDurable.
struct AppendEntries { std::vector<proto::Entry> entries; };
struct ListSources {
  int64_t batch_ms = 0;
  int64_t zero_ms = 0;  // when the job first started
};
// Puts a marker into the folder of every file output, for executors to find; with `buckets` those
// are tried, too. Answered by OutputsMarked; undone by UnmarkOutputs.
struct MarkOutputs {
  uint64_t job_instance = 0;
  bool buckets = false;
};
struct UnmarkOutputs {};
// Print or move into place, by the kind of the output; idempotent.
struct PublishOutput {
  int64_t batch_ms = 0;
  proto::StagedOutput staged;
  uint64_t job_instance = 0;
};
// What these batches staged, in order, becomes one file; then the staged parts go. Idempotent:
// where `target` is there, it is this file. Answered by PublishDone of the last batch.
struct RollOutput {
  uint64_t job_instance = 0;
  uint32_t output = 0;
  int64_t from_ms = 0;
  int64_t to_ms = 0;
  std::vector<proto::StagedOutput> staged;
  std::string target;
};
struct RunForeach {
  uint64_t job_instance = 0;
  int64_t batch_ms = 0;
  uint32_t output = 0;
  uint64_t generation = 0;
  std::vector<std::string> parts;  // encoded record batches in partition order
  std::vector<std::string> values; // of the batch
};
struct PutManifest {
  int64_t batch_ms = 0;
  uint64_t decided_slot = 0;
  uint32_t decided_checksum = 0;
  std::vector<proto::Grant::PartChain> chains;
  proto::DriverState kept;
};
// Puts an object into the checkpoint store, where it stays until somebody deletes it by hand.
// Answered by KeptAside. Not where `unless_whole` names a manifest of which every part is as it
// was written.
struct KeepAside {
  std::string name;
  std::string bytes;
  std::string unless_whole{};
};
// Deletes state parts and manifests that no kept manifest names, received blocks that none needs,
// and the slots of the log below this one as far as no kept manifest needs them.
struct CollectStore { uint64_t below_slot = 0; };
// For listeners. Times are monotonic; 0: not yet.
struct BatchNews {
  enum class What { kSubmitted, kStarted, kCompleted } what = What::kSubmitted;
  struct Input {
    uint32_t node = 0;
    uint64_t records = 0;     // of blocks, queues and constants
    uint64_t files = 0;
    uint64_t file_bytes = 0;
  };
  int64_t batch_ms = 0;
  uint64_t records = 0;  // of files only those that were read
  std::vector<Input> inputs;
  MonotonicTime submitted = 0, started = 0, ended = 0;
  std::string failure;
  uint64_t letters = 0;
};
struct OutputNews {
  bool completed = false;
  int64_t batch_ms = 0;
  uint32_t output = 0;
  MonotonicTime started = 0, ended = 0;
  std::string failure;
};
struct ReceiverNews {
  enum class What { kStarted, kError, kStopped } what = What::kStarted;
  uint32_t stream = 0;
  std::string worker;
  std::string text;  // of an error
};
struct Say {
  enum class Level { kInfo, kWarning, kError } level = Level::kInfo;
  std::string text;
};
// The job driver ends.
struct EndJob {
  int exit_code = 0;
  std::string state;
  std::string message;
};
using DriverCommand = std::variant<Send, AppendEntries, ListSources, MarkOutputs, UnmarkOutputs,
                                   PublishOutput, RollOutput, RunForeach, PutManifest, KeepAside,
                                   CollectStore, BatchNews, OutputNews, ReceiverNews, Say,
                                   EndJob>;

}  // namespace sluice
