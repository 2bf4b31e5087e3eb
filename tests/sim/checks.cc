#include "tests/sim/checks.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <charconv>

#include "checkpoint/driver_log.h"
#include "common/plan/interpreter.h"
#include "common/plan/stages.h"
#include "common/status.h"
#include "driver/job/job_state.h"
#include "tests/sim/job.h"
#include "tests/sim/letters.h"
#include "tests/sim/rolled_check.h"
#include "tests/sim/store_check.h"

namespace sluice::sim {
namespace {

using Rows = std::vector<std::string>;

// Until what is decided is out.
constexpr int kBatchesUntilPublished = 10;
constexpr int64_t kPublishedMs = 2000;
constexpr int kBatchesUntilRolled = 20;

// Sum of the last two numbers of all rows: "key count sum".
std::pair<uint64_t, uint64_t> TotalsOf(const std::vector<Rows>& parts) {
  uint64_t counts = 0, sums = 0;
  for (const Rows& rows : parts) {
    for (const std::string& row : rows) {
      const size_t first = row.find(' ');
      const size_t second = row.find(' ', first + 1);
      counts += std::stoull(row.substr(first + 1, second - first - 1));
      sums += std::stoull(row.substr(second + 1));
    }
  }
  return {counts, sums};
}

class Checker {
 public:
  explicit Checker(Site& site) : site_(site) {}

  void Run() {
    ReadLog();
    if (!site_.broken.empty()) return;
    if (site_.drained && planned_.empty()) return CheckUntouched();
    CheckRecords();
    CheckOutputs();
    letters_.Check(site_);
    CheckStore(site_, state_);
  }

 private:
  void Break(const std::string& what) { site_.Break(what); }

  // Everything that is live in the log, folded by the same code that a job driver uses.
  void ReadLog() {
    site_.log.SetFaults({});
    LogOpenOptions options;
    options.nonce = 42;
    auto log = DriverLog::Open(&site_.log, [this] { return site_.world.now(); }, options);
    if (!log.ok()) return Break("I6: the log: " + std::string(Message(log.status())));
    uint64_t epoch = 0;
    for (const ReplayedEntry& replayed : (*log)->TakeReplayed()) {
      if (replayed.epoch < epoch) Break("I5: an entry of a former epoch is live");
      epoch = replayed.epoch;
      proto::Entry entry;
      if (!entry.ParseFromString(replayed.payload)) return Break("I6: an entry cannot be read");
      const absl::Status applied = state_.Apply(entry);
      if (!applied.ok()) Break("I4: the log: " + std::string(Message(applied)));
      Note(entry);
    }
  }

  void Note(const proto::Entry& entry) {
    letters_.Note(entry);
    if (entry.has_job_begun()) job_ = entry.job_begun();
    if (entry.has_reshaped()) {
      reshaped_[planned_.empty() ? 0 : planned_.rbegin()->first] = entry.reshaped();
    }
    if (entry.has_planned()) {
      const auto& composition = entry.planned().composition();
      if (!planned_.emplace(composition.batch_ms(), composition).second) {
        Break("I4: a batch was planned twice");
      }
    }
    if (entry.has_decided()) {
      if (!decided_.emplace(entry.decided().batch_ms(), entry.decided()).second) {
        Break("I3: a batch was decided twice");
      }
    }
    if (entry.has_skipped()) NoteSkipped(entry.skipped());
  }

  // What is skipped counts as empty, and all of its input is in the store.
  void NoteSkipped(const proto::Skipped& skipped) {
    site_.world.Count("recovery: batch skipped, its input kept aside");
    if (skipped.reason().find("poison") == std::string::npos) {
      return Break("I1: a batch was skipped without need: " + skipped.reason());
    }
    proto::Composition& composition = planned_[skipped.batch_ms()];
    const auto list = site_.objects.Get(skipped.kept());
    proto::KeptInput kept;
    if (!list.ok() || !google::protobuf::TextFormat::ParseFromString(*list, &kept)) {
      return Break("I1: the list of the skipped batch " + skipped.kept() + " cannot be read");
    }
    if (kept.composition().SerializeAsString() != composition.SerializeAsString()) {
      Break("I1: " + skipped.kept() + " lists another composition than the log");
    }
    for (const auto& block : kept.blocks()) {
      const auto bytes = site_.objects.Get(block.object());
      if (!bytes.ok() || *bytes != site_.blocks[IdOf(block.block())].bytes) {
        Break("I1: " + block.object() + " is not the block that was skipped");
      }
      kept_blocks_.insert(IdOf(block.block()));
    }
    for (auto& source : *composition.mutable_sources()) {
      for (auto& task : *source.mutable_tasks()) {
        for (const auto& piece : task.pieces()) {
          if (piece.has_file()) kept_files_.insert(piece.file().path());
          if (piece.has_block() && !kept_blocks_.contains(IdOf(piece.block().name()))) {
            Break("I1: a block of a skipped batch is not kept");
          }
        }
        task.clear_pieces();
      }
    }
    composition.clear_letters();
  }

  std::vector<std::string> RecordsOf(const std::string& encoded) {
    std::vector<uint32_t> scratch;
    const auto view = DecodeBatch(encoded, scratch);
    std::vector<std::string> records;
    for (uint32_t i = 0; view.has_value() && i < view->count; ++i) {
      records.emplace_back(view->record(i));
    }
    return records;
  }

  // A job that was drained before it had run: its input is there for whoever starts it again.
  void CheckUntouched() {
    for (const auto& [producer, last] : site_.acknowledged) {
      if (last > 0) Break("I1: what " + producer + " was told is safe is in no batch");
    }
    if (!site_.files.published.empty()) Break("I3: output is visible and nothing was decided");
  }

  // I1: what was acknowledged is in a decided batch or kept aside; I2: nothing is there twice.
  void CheckRecords() {
    std::set<std::string> seen;
    std::set<std::string> files = kept_files_;
    for (const BlockId3& id : kept_blocks_) {
      for (const std::string& record : RecordsOf(site_.blocks[id].bytes)) {
        if (!seen.insert(record).second) Break("I2: record " + record + " is kept twice");
      }
    }
    for (const auto& [batch_ms, composition] : planned_) {
      if (!decided_.contains(batch_ms)) continue;
      for (const auto& source : composition.sources()) {
        for (const auto& task : source.tasks()) {
          for (const auto& piece : task.pieces()) {
            if (piece.has_file() && piece.file().begin() == 0 &&
                !files.insert(piece.file().path()).second) {
              Break("I2: file " + piece.file().path() + " is in two batches");
            }
            if (!piece.has_block()) continue;
            const auto& block = site_.blocks[IdOf(piece.block().name())];
            for (const std::string& record : RecordsOf(block.bytes)) {
              if (!seen.insert(record).second) Break("I2: record " + record + " counts twice");
            }
          }
        }
      }
    }
    for (const auto& [producer, last] : site_.acknowledged) {
      for (int64_t n = 1; n <= last; ++n) {
        const std::string record = producer + " " + std::to_string(n);
        if (!seen.contains(record)) return Break("I1: acknowledged record " + record + " is lost");
      }
    }
    CheckPlain(seen);
    for (const auto& [path, file] : site_.files.input) {
      if (!files.contains(path)) Break("I1: file " + path + " was never taken");
    }
  }

  std::string WhereIs(const std::string& wanted) {
    for (const auto& [id, block] : site_.blocks) {
      for (const std::string& record : RecordsOf(block.bytes)) {
        if (record == wanted) return ", in block " + std::to_string(std::get<2>(id));
      }
    }
    return ", in no block";
  }

  // I1 of what cannot be sent again: it is lost with its daemon only, or with one that was silent
  // for so long that the job driver gave it up; and no more is counted as lost than is.
  void CheckPlain(const std::set<std::string>& seen) {
    uint64_t lost = 0;
    for (const auto& [number, taken] : site_.plain) {
      const std::string record = "plain " + std::to_string(number);
      if (seen.contains(record)) continue;
      ++lost;
      site_.world.Count("plain: record lost");
      if (!site_.daemons_lost.contains(taken.daemon) && !site_.drained) {
        return Break("I1: record " + record + " of " + std::to_string(taken.receiver % 1000) +
                     " is lost, and its daemon lives" + WhereIs(record));
      }
    }
    for (const auto& [id, block] : site_.blocks) {
      if (std::get<0>(id) != site_.plain_stream || !site_.log.Added(id)) continue;
      for (const std::string& record : RecordsOf(block.bytes)) {
        if (!seen.contains(record)) return Break("I1: " + record + " was added and is in no batch");
      }
    }
    if (site_.lost_records > lost) {
      Break("I1: of " + std::to_string(lost) + " records that are lost " +
            std::to_string(site_.lost_records) + " are counted");
    }
  }

  static std::string Range(const Node& node, const proto::ConstantRange& range) {
    std::vector<uint32_t> scratch;
    const auto all = DecodeBatch(*node.source.constant, scratch);
    RecordBatch records(all->fixed_size);
    for (uint32_t i = range.begin(); i < range.end(); ++i) records.Append(all->record(i));
    std::string encoded;
    EncodeBatch(records.view(), encoded);
    return encoded;
  }

  std::vector<std::vector<std::string>> InputOf(int64_t batch_ms, const Node& node,
                                                const proto::SourceInput& source) {
    std::vector<std::vector<std::string>> tasks;
    for (const auto& task : source.tasks()) {
      auto& encoded = tasks.emplace_back();
      for (const auto& piece : task.pieces()) {
        if (piece.has_block()) {
          encoded.push_back(site_.blocks[IdOf(piece.block().name())].bytes);
        } else if (piece.has_file()) {
          RecordBatch lines;
          const std::string& path = piece.file().path();
          const int base = std::stoi(path.substr(path.size() - 3)) - 100;
          for (int i = 0; i < 5 && piece.file().begin() == 0; ++i) {
            lines.Append("file " + std::to_string(1000 * base + i));
          }
          EncodeBatch(lines.view(), encoded.emplace_back());
        } else if (piece.has_inlined()) {
          encoded.push_back(piece.inlined().batch());
        } else if (piece.has_constant()) {
          encoded.push_back(Range(node, piece.constant()));
        }
      }
      LeaveOut(decided_[batch_ms], source.stage(), static_cast<uint32_t>(tasks.size()) - 1,
               encoded);
    }
    return tasks;
  }

  // I2 and I3: every output of every decided batch is there once, and is what the reference makes
  // of the composition in the log.
  void CheckOutputs() {
    if (decided_.empty()) return Break("I7: nothing was decided");
    const StagePlan plan(*site_.graph, job_.partitions());
    ReferenceInterpreter reference(*site_.graph, job_.partitions(), job_.key_groups(),
                                   job_.zero_ms(), job_.batch_interval_ms(),
                                   job_.job_instance());
    uint32_t partitions = job_.partitions();
    const int64_t last_ms = decided_.rbegin()->first;
    std::set<std::string> expected;
    for (const auto& [batch_ms, composition] : planned_) {
      if (batch_ms > last_ms) break;
      while (!reshaped_.empty() && reshaped_.begin()->first < batch_ms) {
        const proto::Reshaped& to = reshaped_.begin()->second;
        reference.GoOnIn(to.partitions(), to.batch_interval_ms());
        partitions = to.partitions();
        reshaped_.erase(reshaped_.begin());
      }
      if (!decided_.contains(batch_ms)) {
        Break("I3: batch " + std::to_string(batch_ms) + " was passed over");
        continue;
      }
      std::vector<ReferenceInterpreter::TaskInputs> inputs(site_.graph->nodes().size());
      for (const auto& source : composition.sources()) {
        const NodeId root = plan.stages()[source.stage()].root;
        inputs[root] = InputOf(batch_ms, plan.graph().node(root), source);
      }
      const auto results = reference.RunBatch(
          inputs, batch_ms, {}, {composition.values().begin(), composition.values().end()},
          AsideOf(composition, decided_[batch_ms], plan));
      CheckPlaces(composition, partitions);
      // By batches and not by the wall clock, which may just have jumped.
      const auto behind = std::distance(decided_.upper_bound(batch_ms), decided_.end());
      const bool settled = site_.drained || (behind > kBatchesUntilPublished &&
                                             batch_ms + kPublishedMs < last_ms);
      for (const auto& staged : decided_[batch_ms].outputs()) {
        Compare(batch_ms, staged, results[staged.output()], settled, expected);
      }
    }
    rolled_.Run();
    for (const auto& [target, parts] : site_.files.published) {
      if (!expected.contains(target)) Break("I3: " + target + " is visible and was not decided");
    }
  }

  // A key that is run again is where the key is now.
  void CheckPlaces(const proto::Composition& composition, uint32_t partitions) {
    for (const proto::LetterInput& letter : composition.letters()) {
      for (const std::string& row : RecordsOf(letter.records().batch())) {
        const uint32_t place = PartitionOfSum(row.substr(0, row.find(' ')), partitions);
        if (!letter.is_row() && place != letter.partition()) {
          Break("I2: a key is run again in another partition than its own");
        }
      }
    }
  }

  void Compare(int64_t batch_ms, const proto::StagedOutput& staged,
               const ReferenceInterpreter::OutputResult& result, bool settled,
               std::set<std::string>& expected) {
    const std::string name =
        "output " + std::to_string(staged.output()) + " of batch " + std::to_string(batch_ms);
    const Output& output = site_.graph->outputs()[staged.output()];
    if (output.kind == OutputKind::kForeachPartition) {
      return CompareEffects(name, batch_ms, result, *site_.sink);
    }
    if (output.kind == OutputKind::kForeachBatch) {
      return CompareEffects(name, batch_ms, result, site_.called);
    }
    if (staged.has_dataset() != result.has_dataset) {
      Break("I2: " + name + " differs from the reference in whether there is a dataset");
      return;
    }
    if (!staged.has_dataset()) return;
    if (output.kind == OutputKind::kPrint) {
      const auto shown = site_.printed.find(batch_ms);
      if (shown == site_.printed.end()) {
        if (settled) Break("I3: " + name + " was not printed");
        return;
      }
      Rows rows;
      for (const Rows& part : result.parts) rows.insert(rows.end(), part.begin(), part.end());
      if (rows.size() > output.print_limit) rows.resize(output.print_limit + 1);
      site_.rows_compared += rows.size();
      if (rows != shown->second) Break("I2: " + name + " differs from the reference");
      return;
    }
    if (Rolls(output)) {
      const auto old = decided_.lower_bound(batch_ms + output.roll_after_ms);
      const bool due = site_.drained || std::distance(old, decided_.end()) > kBatchesUntilRolled;
      return rolled_.Expect(output.id, batch_ms, due, result.parts);
    }
    expected.insert(staged.target_path());
    const auto published = site_.files.published.find(staged.target_path());
    // Another job's is in its place, or it is about to be as it was staged.
    const auto under_way = [](const auto& parts) {
      return parts.contains(SimFiles::kOfAnotherJob) || parts.contains(SimFiles::kMark);
    };
    if (published == site_.files.published.end() || under_way(published->second)) {
      if (settled) Break("I3: " + name + " is not visible");
      return;
    }
    std::vector<Rows> parts(result.parts.size());
    for (const auto& [piece, rows] : published->second) {
      if (piece >= parts.size()) {
        Break("I3: " + name + " has too many parts");
        return;
      }
      parts[piece] = rows;
    }
    for (const Rows& rows : parts) site_.rows_compared += rows.size();
    if (site_.loose_outputs.contains(staged.output())
            ? TotalsOf(parts) != TotalsOf(result.parts)
            : parts != result.parts) {
      Break("I2: " + name + " differs from the reference");
    }
  }

  // I15: what the sink holds of a decided batch.
  void CompareEffects(const std::string& name, int64_t batch_ms,
                      const ReferenceInterpreter::OutputResult& result, const Sink& sink) {
    for (uint32_t p = 0; p < result.parts.size(); ++p) {
      const Rows* written = sink.Find(batch_ms, p);
      if (written == nullptr) {
        return Break("I15: " + name + " lacks partition " + std::to_string(p));
      }
      site_.rows_compared += written->size();
      if (*written != result.parts[p]) Break("I15: " + name + " differs from the reference");
    }
  }

  Site& site_;
  JobState state_;
  RolledCheck rolled_{site_};
  proto::JobBegun job_;
  std::map<int64_t, proto::Composition> planned_;
  std::map<int64_t, proto::Decided> decided_;
  std::map<int64_t, proto::Reshaped> reshaped_;  // by the last batch before
  std::set<BlockId3> kept_blocks_;
  std::set<std::string> kept_files_;
  LetterChecks letters_;
};

}  // namespace

void CheckOutcome(Site& site) { Checker(site).Run(); }

}  // namespace sluice::sim
