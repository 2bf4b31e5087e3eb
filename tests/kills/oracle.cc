// Judges what the ledger job has put out: reads the composition of every batch from the job's log,
// makes its input again, runs the reference interpreter over it, and compares every part of every
// batch on disk byte for byte.
//
//   oracle CHECKPOINT_DIR SCRATCH_DIR PRODUCER=FILE -- --dir=DIR --output=PREFIX
//
// The job must have ended. What stands behind -- are the flags with which it was submitted.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/plan/stages.h"
#include "common/status.h"
#include "tests/jobs/ledger_job.h"
#include "tests/kills/given_input.h"
#include "tests/kills/job_log.h"
#include "tests/kills/output_check.h"

namespace sluice::kills {
namespace {

constexpr size_t kComplaintsShown = 10;

struct Arguments {
  std::string checkpoint;
  std::string scratch;
  GivenInput input;
  std::vector<std::string> job;
};

absl::StatusOr<Arguments> Parse(const std::vector<std::string>& words) {
  const auto dashes = std::find(words.begin(), words.end(), "--");
  if (dashes - words.begin() < 3) return absl::InvalidArgumentError("see oracle.cc for the usage");
  Arguments arguments{words[0], words[1], {}, {}};
  for (auto word = words.begin() + 2; word != dashes; ++word) {
    const size_t equals = word->find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError("no PRODUCER=FILE: " + *word);
    }
    RETURN_IF_ERROR(
        arguments.input.AddProducer(word->substr(0, equals), word->substr(equals + 1)));
  }
  if (dashes != words.end()) arguments.job.assign(dashes + 1, words.end());
  return arguments;
}

absl::StatusOr<std::vector<ReferenceInterpreter::TaskInputs>> InputsOf(
    const proto::Composition& composition, const StagePlan& plan, GivenInput& input) {
  std::vector<ReferenceInterpreter::TaskInputs> inputs(plan.graph().nodes().size());
  for (const auto& source : composition.sources()) {
    ASSIGN_OR_RETURN(inputs[plan.stages()[source.stage()].root], input.Make(source));
  }
  return inputs;
}

absl::Status Compare(const JobLog& log, const LineageGraph& graph, GivenInput& input,
                     OutputCheck& check) {
  const StagePlan plan(graph, log.job.partitions());
  ReferenceInterpreter reference(graph, log.job.partitions(), log.job.key_groups(),
                                 log.job.zero_ms(), log.job.batch_interval_ms(),
                                 log.job.job_instance());
  for (const auto& [batch_ms, composition] : log.planned) {
    if (!log.decided.contains(batch_ms)) {
      return absl::FailedPreconditionError(absl::StrCat("batch ", batch_ms, " was never decided"));
    }
    ASSIGN_OR_RETURN(const auto inputs, InputsOf(composition, plan, input));
    check.Batch(batch_ms, reference.RunBatch(inputs, batch_ms, {},
                                            {composition.values().begin(),
                                             composition.values().end()}));
  }
  check.Finish();
  return absl::OkStatus();
}

absl::Status Run(const std::vector<std::string>& words) {
  ASSIGN_OR_RETURN(Arguments arguments, Parse(words));
  StreamingContext ssc(tests::LedgerOptions(Args::Parse(arguments.job)));
  tests::BuildLedger(ssc);
  if (!ssc.Check().ok()) return absl::InvalidArgumentError(ssc.Check().message);
  RocksDbLogFollower follower(arguments.checkpoint, arguments.scratch);
  JobLog log;
  RETURN_IF_ERROR(log.CatchUp(follower));
  OutputCheck check(ssc.graph());
  RETURN_IF_ERROR(Compare(log, ssc.graph(), arguments.input, check));
  const auto& complaints = check.complaints();
  for (size_t i = 0; i < std::min(complaints.size(), kComplaintsShown); ++i) {
    std::printf("%s\n", complaints[i].c_str());
  }
  if (!complaints.empty()) {
    return absl::DataLossError(absl::StrCat(complaints.size(), " differences"));
  }
  std::printf("%zu batches of %zu records (%zu blocks, %zu files): %zu directories, %zu parts, "
              "%zu bytes as the interpreter gives them\n",
              log.decided.size(), arguments.input.records(), arguments.input.blocks(),
              arguments.input.files(), check.directories(), check.parts(), check.bytes());
  return absl::OkStatus();
}

}  // namespace
}  // namespace sluice::kills

int main(int argc, char** argv) {
  const absl::Status status = sluice::kills::Run({argv + 1, argv + argc});
  if (status.ok()) return 0;
  std::printf("%s\n", std::string(status.message()).c_str());
  return 1;
}
