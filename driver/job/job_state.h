// What the driver log says, folded: the durable truth about one job. Replay after a crash and the
// running driver go through the same Apply, so that a recovered driver knows what the former knew.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "checkpoint/log_chain.h"
#include "driver/job/letter_state.h"
#include "proto/batch.pb.h"
#include "proto/log.pb.h"

namespace sluice {

struct BlockId {
  uint32_t stream = 0;
  uint64_t incarnation = 0;
  uint64_t number = 0;
  auto operator<=>(const BlockId&) const = default;
};
BlockId BlockIdOf(const proto::BlockName& name);
proto::BlockName NameOf(uint64_t job_instance, const BlockId& key);
std::string ToString(const BlockId& key);  // "stream 2, receiver 9f3a…, block 17"

struct LoggedBlock {
  proto::BlockInfo info;
  std::vector<std::string> holders;  // worker ids
  int64_t batch_ms = 0;              // 0: waits for a batch
  bool lost = false;                 // its loss was accepted
};

struct DecidedBatch {
  proto::Decided decided;
  LogPosition position;       // zero until durable
  std::set<uint32_t> unpublished;
  bool letters_unkept = false;  // they are not in the store yet
};

// Not thread-safe. Invariants: batches are planned and decided in order of time; a block belongs
// to at most one batch; a producer's records are contiguous from 1, while it is known.
class JobState {
 public:
  // Starts from what a manifest kept.
  void Restore(const proto::DriverState& kept);
  absl::Status Apply(const proto::Entry& entry);
  // The decided batch is durable at this position.
  void SetPosition(int64_t batch_ms, LogPosition position);
  // All of it, as the payload of a manifest; `first_live_slot` follows the last slot applied.
  proto::DriverState Keep(uint64_t first_live_slot) const;

  // A block may be added when each of its producers goes on where the log stands.
  bool ProducersFollow(const proto::BlockInfo& block) const;
  // 0: it is not known.
  int64_t LastOfProducer(uint32_t stream, const std::string& producer) const;
  size_t ProducersOf(uint32_t stream) const;  // that are known
  // Whether anybody would be forgotten.
  bool AnyQuiet(const proto::ProducersForgotten& quiet) const {
    return !QuietProducers(quiet).empty();
  }
  // The batch intervals of all planned batches: it stands still while the job does not run.
  int64_t ran_ms() const { return ran_ms_; }
  // Records of an unreliable source in the blocks of this incarnation that were added.
  uint64_t RecordsLogged(uint32_t stream, uint64_t incarnation) const;
  // Records that retired incarnations took and the log does not have, and those of blocks whose
  // loss was accepted.
  uint64_t lost_records() const;
  // Nothing more of this incarnation counts as being in the received-data log.
  bool Forgotten(uint32_t stream, uint64_t incarnation) const;
  // Highest block number that counts as added.
  uint64_t LastNumber(uint32_t stream, uint64_t incarnation) const;

  bool begun() const { return job_.job_instance() != 0; }
  const proto::JobBegun& job() const { return job_; }
  const proto::ProgramSeen& program() const { return program_; }
  const std::map<BlockId, LoggedBlock>& blocks() const { return blocks_; }
  LoggedBlock* FindBlock(const BlockId& key);
  const std::vector<BlockId>& waiting_blocks() const { return waiting_; }  // in log order
  const std::map<int64_t, proto::Composition>& planned() const { return planned_; }
  const std::map<int64_t, DecidedBatch>& decided() const { return decided_; }
  bool FileTaken(uint32_t stream, const std::string& path) const {
    return files_.contains({stream, path});
  }
  // By source stage and path.
  const std::map<std::pair<uint32_t, std::string>, proto::TakenFile>& files() const {
    return files_;
  }
  // The range of batches that is being made a file of; null: none.
  const proto::Rolling* RollingOf(uint32_t output) const {
    const auto it = rolling_.find(output);
    return it == rolling_.end() ? nullptr : &it->second;
  }
  const proto::TakenFile* TakenFileAt(uint32_t stream, const std::string& path) const;
  int64_t last_planned_ms() const { return last_planned_ms_; }
  int64_t last_decided_ms() const { return last_decided_ms_; }
  int64_t sealed_ms() const { return sealed_ms_; }
  const std::string& sealed_manifest() const { return sealed_manifest_; }
  // The last batch that was planned in another shape than that of job(); 0: none was.
  int64_t reshaped_ms() const { return reshaped_ms_; }
  // The slots below were covered by a checkpoint `kKeepSlotsMs` before this time, whichever driver
  // sealed it. A paused former driver may still look for its slots until then.
  static constexpr int64_t kKeepSlotsMs = 600'000;
  uint64_t CollectableSlot(int64_t wall_ms) const;
  uint64_t decided_batches() const { return decided_batches_; }
  uint64_t failed_batches() const { return failed_batches_; }
  uint64_t kept_batches() const { return kept_batches_; }  // of those, with their input kept aside
  uint64_t records_total() const { return records_total_; }
  const LetterState& letters() const { return letters_; }
  // An older checkpoint counts as the last sealed one: what came after it is needed again.
  void FallBackTo(int64_t batch_ms, const std::string& manifest);
  // Blocks of batches up to the sealed one: nothing refers to them any more. Forgets them.
  std::vector<BlockId> TakeCoveredBlocks();
  // Forgets compositions and decisions up to the sealed batch whose outputs are all published and
  // whose letters are kept; of other decisions what is needed to publish them stays.
  void ForgetCovered();
  // First batch that is planned and not decided; 0: none.
  int64_t FirstUndecided() const;

 private:
  struct Incarnation {
    uint64_t number = 0;   // of the last block that counts as added
    uint64_t records = 0;  // logged, of an unreliable source
    uint64_t taken = 0;    // known when it is retired
    bool forgotten = false;
  };
  struct Producer {
    int64_t last = 0;
    int64_t heard_ms = 0;  // ran_ms_ when a block of it was added
  };
  using Producers = std::map<std::string, Producer>;
  void ApplyBlock(const proto::BlockAdded& added);
  std::vector<std::pair<uint32_t, std::string>> QuietProducers(
      const proto::ProducersForgotten& quiet) const;
  void ForgetProducers(const proto::ProducersForgotten& quiet);
  void KeepBlocks(proto::DriverState& kept) const;
  void TakeFilesAndBlocks(const proto::Composition& composition);
  void ApplyProgram(const proto::ProgramSeen& seen);
  absl::Status ApplyReshaped(const proto::Reshaped& reshaped);
  void ApplyLettersKept(int64_t batch_ms);
  void ApplySkipped(const proto::Skipped& skipped);
  void ApplyCollected(const proto::Collected& collected);
  absl::Status ApplyPlanned(const proto::Composition& composition);
  absl::Status ApplyDecided(const proto::Decided& decided);
  void ApplyPublished(const proto::Published& published);

  proto::JobBegun job_;
  proto::ProgramSeen program_;
  std::map<uint32_t, Producers> producers_;  // by stream
  std::map<std::pair<uint32_t, uint64_t>, Incarnation> incarnations_;
  std::map<BlockId, LoggedBlock> blocks_;
  std::vector<BlockId> waiting_;
  std::map<std::pair<uint32_t, std::string>, proto::TakenFile> files_;
  std::map<int64_t, proto::Composition> planned_;
  std::map<int64_t, DecidedBatch> decided_;
  std::map<uint32_t, int64_t> published_ms_;
  std::map<uint32_t, proto::Rolling> rolling_;  // by output; not published yet
  int64_t trimmed_ms_ = 0;     // decisions up to here have been looked at by ForgetCovered
  bool more_done_ = true;      // since then
  int64_t ran_ms_ = 0;
  int64_t last_planned_ms_ = 0;
  int64_t last_decided_ms_ = 0;
  int64_t sealed_ms_ = 0;
  std::string sealed_manifest_;
  int64_t reshaped_ms_ = 0;
  std::vector<proto::Collected> collected_;  // by slot; the first may be older than kKeepSlotsMs
  uint64_t decided_batches_ = 0;
  uint64_t failed_batches_ = 0;
  uint64_t kept_batches_ = 0;
  uint64_t records_total_ = 0;
  uint64_t accepted_losses_ = 0;  // records of blocks whose loss was accepted
  LetterState letters_;
};

}  // namespace sluice
