#include "sluice/replay_role.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_store.h"
#include "checkpoint/errors.h"
#include "checkpoint/posix_object_store.h"
#include "common/exit_code.h"
#include "common/plan/graph.h"
#include "common/record_batch.h"
#include "common/status.h"
#include "proto/replay.pb.h"
#include "sluice/batch_replay.h"
#include "sluice/executor_graph.h"
#include "sluice/job_settings.h"
#include "sluice/job_store.h"
#include "sluice/replay_case.h"

namespace sluice {
namespace {

constexpr std::string_view kCaseFlag = "--sluice-case=";
constexpr size_t kRowsShown = 10;

// Errors of stores and logs end with the code that they ask for.
ExitStatus FromStatus(const absl::Status& status) {
  const int code = ExitCodeOf(status);
  return {code != kExitOk ? code : kExitFailed, std::string(Message(status))};
}

// One line for each operator with state; true: as it was decided.
bool SayStates(const proto::BatchReport& report, const proto::Decided& decided) {
  bool same = true;
  for (const auto& was : decided.states()) {
    const auto now = std::find_if(
        report.states().begin(), report.states().end(),
        [&](const auto& state) { return state.operator_name() == was.operator_name(); });
    const bool equal = now != report.states().end() && now->digest() == was.digest() &&
                       now->entries() == was.entries();
    std::cout << "batch " << decided.batch_ms() << ", operator " << was.operator_name() << ": "
              << was.entries() << " entries changed, "
              << (equal ? "the same state as was decided" : "ANOTHER STATE than was decided");
    if (!equal && now != report.states().end()) std::cout << ", " << now->entries() << " entries";
    std::cout << "\n";
    same &= equal;
  }
  return same;
}

// Rows of one partition of one output, each on one line.
std::vector<std::string> RowsOf(const Output& output, const proto::OutputPart& part,
                                const std::vector<ReplayedRows>& staged) {
  std::vector<std::string> rows;
  for (const std::string& row : part.printed()) rows.push_back(absl::CHexEscape(row));
  for (const ReplayedRows& one : staged) {
    if (one.output != output.id || one.piece != part.piece()) continue;
    for (const std::string& row : one.rows) rows.push_back(absl::CHexEscape(row));
  }
  std::vector<uint32_t> scratch;
  if (const auto view = DecodeBatch(part.foreach_batch(), scratch);
      view.has_value() && !part.foreach_batch().empty()) {
    for (uint32_t i = 0; i < view->count; ++i) {
      rows.push_back(absl::CHexEscape(std::string(view->record(i))));
    }
  }
  return rows;
}

// Shows some rows of each partition; gives all as the lines of rows.txt.
std::string SayRows(const LineageGraph& graph, const proto::BatchReport& report,
                    const std::vector<ReplayedRows>& staged) {
  std::string all;
  for (const auto& part : report.outputs()) {
    const Output& output = graph.outputs()[part.output()];
    const std::string head = absl::StrCat(output.label, ", partition ", part.piece(), ": ",
                                          part.records(), " rows\n");
    std::cout << head;
    all += head;
    const std::vector<std::string> rows = RowsOf(output, part, staged);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (i < kRowsShown) std::cout << "  " << rows[i] << "\n";
      absl::StrAppend(&all, "  ", rows[i], "\n");
    }
    if (rows.size() > kRowsShown) std::cout << "  ...\n";
  }
  return all;
}

// The first run of a case keeps its rows, the others compare.
ExitStatus CompareRows(const std::string& path, const std::string& rows) {
  struct stat seen;
  if (stat(path.c_str(), &seen) != 0) {
    std::ofstream out(path, std::ios::binary);
    out << rows;
    out.close();
    if (out.good()) return {};
    return {kExitFailed, "cannot write " + path + ": " + std::strerror(errno)};
  }
  std::ifstream in(path, std::ios::binary);
  std::ostringstream read;  // an iterator would throw where the file cannot be read
  read << in.rdbuf();
  const std::string former = std::move(read).str();
  if (former == rows) return {};
  const auto [was, now] = std::mismatch(former.begin(), former.end(), rows.begin(), rows.end());
  const auto line = 1 + std::count(former.begin(), was, '\n');
  (void)now;
  return {kExitFailed, absl::StrCat("other rows than ", path, " has, from its line ", line, " on")};
}

struct Replayed {
  bool same_states = true;
  std::string rows;
};

absl::StatusOr<Replayed> RunBatches(const proto::ReplayCase& the_case, const LineageGraph& graph,
                                    const StagePlan& plan, ObjectStore* objects) {
  const std::unique_ptr<StatePartCodec> codec = DiskStateParts();
  BatchReplay replay(&plan, the_case.job(), objects, codec.get());
  std::optional<Manifest> manifest;
  if (!the_case.manifest().empty()) {
    CheckpointStore checkpoints(objects, codec.get());
    ASSIGN_OR_RETURN(manifest, checkpoints.ReadManifest(the_case.manifest()));
  }
  RETURN_IF_ERROR(replay.Load(manifest.has_value() ? &*manifest : nullptr));
  Replayed replayed;
  for (const auto& batch : the_case.batches()) {
    const int64_t batch_ms = batch.composition().batch_ms();
    const bool last = batch_ms == the_case.batch_ms();
    const proto::Decided* decided = batch.has_decided() ? &batch.decided() : nullptr;
    const absl::StatusOr<proto::BatchReport> report = replay.Run(batch, last);
    if (!report.ok()) {
      return absl::AbortedError(absl::StrCat("batch ", batch_ms, " cannot be run again: ",
                                             std::string(Message(report.status()))));
    }
    if (!batch.lost().empty()) {
      std::cout << "batch " << batch_ms << ": " << batch.lost_size() << " received blocks of it "
                << "are lost, and that was accepted; if after it was decided, its state is "
                << "another one\n";
    }
    if (decided != nullptr) replayed.same_states &= SayStates(*report, *decided);
    if (last) replayed.rows = SayRows(graph, *report, replay.rows());
  }
  return replayed;
}

}  // namespace

std::optional<std::string> TakeCaseFlag(std::vector<std::string>* words) {
  const auto end = std::find(words->begin(), words->end(), "--");
  const auto flag = std::find_if(words->begin(), end, [](const std::string& word) {
    return word.starts_with(kCaseFlag);
  });
  if (flag == end) return std::nullopt;
  std::string value = flag->substr(kCaseFlag.size());
  words->erase(flag);
  return value;
}

ExitStatus RunReplayRole(const std::string& typed, const std::vector<std::string>& words,
                         JobOptions options, BuildFunction build) {
  std::error_code error;
  const std::string folder = std::filesystem::absolute(typed, error).string();
  const absl::StatusOr<proto::ReplayCase> the_case = ReadCase(folder);
  if (!the_case.ok()) return FromStatus(the_case.status());
  auto objects = PosixObjectStore::Open(folder + "/" + kCaseObjects);
  if (!objects.ok()) return FromStatus(objects.status());
  proto::ExecutorInit init;
  *init.mutable_constants() = the_case->program().constants();
  std::vector<std::string> flags = words;
  if (words.empty()) flags.assign(the_case->args().begin(), the_case->args().end());
  ProgramFlags conf;
  conf.conf.assign(the_case->conf().begin(), the_case->conf().end());
  Config config;
  const ExitStatus resolved = ResolveConfig(conf, options, &config);
  if (!resolved.ok()) return resolved;
  for (const auto& [key, value] : config.Values()) (*init.mutable_conf())[key] = value;
  const absl::StatusOr<ExecutorProgram> program = BuildForExecutor(init, flags, options, build);
  if (!program.ok()) return {kExitRefused, std::string(Message(program.status()))};
  if (program->graph->Fingerprint() != the_case->program().graph_fingerprint()) {
    std::cerr << "warning: this is another program than the one that ran the batch" << std::endl;
  }
  const StagePlan plan(*program->graph, the_case->job().partitions());
  const absl::StatusOr<Replayed> replayed =
      RunBatches(*the_case, *program->graph, plan, objects->get());
  std::cout << std::flush;
  if (!replayed.ok()) return FromStatus(replayed.status());
  if (!replayed->same_states) {
    return {kExitFailed,
            "another state than was decided: the operators above that say so are not "
            "deterministic, or the program is another one"};
  }
  return CompareRows(folder + "/" + kCaseRows, replayed->rows);
}

}  // namespace sluice
