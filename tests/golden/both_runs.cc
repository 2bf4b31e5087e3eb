#include "tests/golden/both_runs.h"
#include "common/plan/graph.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace sluice::golden {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kIntervalMs = 1000;

Rows Lines(std::istream& in) {
  Rows lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TestOptions OptionsOf(uint32_t partitions, uint32_t tasks, const std::string& checkpoint,
                      bool sealed) {
  TestOptions options;
  options.batch_interval = std::chrono::milliseconds(kIntervalMs);
  options.partitions = partitions;
  options.slots = tasks;
  options.checkpoint = checkpoint;
  if (sealed) options.conf = {{"checkpoint_interval", "1ms"}};
  return options;
}

}  // namespace

Rows Given::All() const {
  Rows all;
  for (const Rows& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

BothRuns::BothRuns(uint32_t partitions, const std::string& checkpoint, bool sealed)
    : partitions_(partitions),
      tasks_(std::min(partitions, 3u)),
      test_(OptionsOf(partitions, tasks_, checkpoint, sealed)) {}

size_t BothRuns::AddSource() {
  sources_.push_back({static_cast<NodeId>(ssc().graph().nodes().size() - 1), {}});
  return sources_.size() - 1;
}

Outcome BothRuns::RunBatchAfter(int ticks) {
  if (noted_ == nullptr) NoteBatches();
  Outcome outcome = test_.RunBatchAfter(ticks);
  if (outcome.ok()) RunInterpreter();
  return outcome;
}

// The job's random numbers come from its instance; a window that missed its slide makes up for it
// in a batch of its own.
void BothRuns::NoteBatches() {
  noted_ = std::make_shared<Noted>();
  ssc().QueueStream(RecordQueue<int64_t>({.test_only = true})).ForeachBatch(
      [noted = noted_](const Batch<int64_t>& batch) {
        std::lock_guard lock(noted->mutex);
        noted->job_instance = batch.identity().job_instance;
        noted->batches_ms.insert(batch.time_ms());
      });
}

// The first batch takes what is scripted, as in the engine.
void BothRuns::RunInterpreter() {
  std::lock_guard lock(noted_->mutex);
  batches_ms_ = std::exchange(noted_->batches_ms, {});
  for (const int64_t batch_ms : batches_ms_) {
    RunInterpreterAt(batch_ms);
    for (Source& source : sources_) source.next.reset();
  }
}

// A scripted batch is one piece, which the first task reads.
void BothRuns::RunInterpreterAt(int64_t batch_ms) {
  const LineageGraph& graph = ssc().graph();
  if (interpreter_ == nullptr) {
    interpreter_ = std::make_unique<ReferenceInterpreter>(graph, partitions_, 1024,
                                                          TestContext::kZeroMs, kIntervalMs,
                                                          noted_->job_instance);
  }
  std::vector<ReferenceInterpreter::TaskInputs> inputs(graph.nodes().size());
  std::set<NodeId> absent;
  for (const Source& source : sources_) {
    inputs[source.node].resize(tasks_);
    if (!source.next.has_value()) continue;
    if (source.next->has_value()) inputs[source.node][0].push_back(**source.next);
    else absent.insert(source.node);
  }
  const auto results = interpreter_->RunBatch(inputs, batch_ms, absent);
  reference_.clear();
  for (const Output& output : graph.outputs()) {
    reference_.push_back(Told(output, results[output.id]));
  }
}

// The interpreter's result in the form in which the engine's can be had.
Given BothRuns::Told(const Output& output,
                     const ReferenceInterpreter::OutputResult& result) const {
  if (output.kind == OutputKind::kForeachBatch && !kept_.contains(output.id)) return {};
  Given given{result.has_dataset, result.parts};
  if (output.kind == OutputKind::kTextFiles || !given.has_dataset) return given;
  Rows rows = given.All();
  if (const auto kept = kept_.find(output.id); kept != kept_.end()) {
    for (std::string& row : rows) row = kept->second.text(row);
  }
  if (output.kind == OutputKind::kPrint && rows.size() > output.print_limit) {
    rows.resize(output.print_limit);
    rows.push_back("...");
  }
  given.parts = {std::move(rows)};
  return given;
}

std::vector<Given> BothRuns::OfEngine() const {
  std::vector<Given> all;
  for (const Output& output : const_cast<TestContext&>(test_).ssc().graph().outputs()) {
    Given& given = all.emplace_back();
    if (output.kind == OutputKind::kPrint) {
      given = Printed();
    } else if (output.kind == OutputKind::kTextFiles) {
      given = Saved(output);
    } else if (const auto kept = kept_.find(output.id); kept != kept_.end()) {
      const std::optional<Rows> rows = kept->second.engine();
      given.has_dataset = rows.has_value();
      if (rows.has_value()) given.parts = {*rows};
    }
  }
  return all;
}

// What stands between the heading, which is this batch's, and the empty line.
Given BothRuns::Printed() const {
  Given given;
  std::istringstream text(test_.printed());
  Rows lines = Lines(text);
  const std::string dashes(43, '-');
  const auto another = [&](size_t at) {  // a batch before the newest
    return lines[at] == dashes && lines[at + 2] == dashes &&
           lines[at + 1] != "Time: " + std::to_string(test_.batch_ms()) + " ms";
  };
  while (lines.size() > 2 && another(0)) {
    const auto end = std::find(lines.begin(), lines.end(), "");
    lines.erase(lines.begin(), end == lines.end() ? end : end + 1);
  }
  if (lines.empty()) return given;
  given.has_dataset = true;
  const Rows heading = {dashes, "Time: " + std::to_string(test_.batch_ms()) + " ms", dashes};
  if (lines.size() < 4 || !std::equal(heading.begin(), heading.end(), lines.begin()) ||
      !lines.back().empty()) {
    given.parts = {{"not in the form of Print:"}, lines};
    return given;
  }
  given.parts = {{lines.begin() + 3, lines.end() - 1}};
  return given;
}

Given BothRuns::Saved(const Output& output) const {
  Given given;
  std::string folder = output.prefix + "-" + std::to_string(test_.batch_ms());
  if (!output.suffix.empty()) folder += "." + output.suffix;
  if (!fs::exists(folder)) return given;
  given.has_dataset = true;
  if (!fs::exists(folder + "/_SUCCESS")) given.parts.push_back({"without _SUCCESS:"});
  std::set<fs::path> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path());
  for (const fs::path& name : names) {
    if (name.filename() == "_SUCCESS") continue;
    std::ifstream file(name);
    given.parts.push_back(Lines(file));
  }
  return given;
}

}  // namespace sluice::golden
