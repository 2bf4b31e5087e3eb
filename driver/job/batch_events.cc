#include "driver/job/batch_events.h"

#include <utility>

namespace sluice {

BatchNews::Input BatchEvents::InputOf(const proto::SourceInput& source) const {
  BatchNews::Input input;
  input.node = plan_.stages()[source.stage()].root;
  for (const auto& task : source.tasks()) {
    for (const auto& piece : task.pieces()) {
      if (piece.has_block()) input.records += piece.block().records();
      if (piece.has_inlined()) input.records += piece.inlined().records();
      if (piece.has_constant()) input.records += piece.constant().end() - piece.constant().begin();
      if (!piece.has_file()) continue;
      if (piece.file().begin() == 0) ++input.files;
      input.file_bytes += piece.file().end() - piece.file().begin();
    }
  }
  return input;
}

void BatchEvents::Submitted(MonotonicTime now, const proto::Composition& composition,
                            std::vector<DriverCommand>& out) {
  if (composition.batch_ms() <= submitted_ms_) return;
  submitted_ms_ = composition.batch_ms();
  Open& batch = open_[composition.batch_ms()];
  batch.news.batch_ms = composition.batch_ms();
  batch.news.submitted = now;
  std::vector<StageId> absent;
  for (const auto& source : composition.sources()) {
    if (source.no_dataset()) absent.push_back(source.stage());
    batch.news.inputs.push_back(InputOf(source));
    batch.news.records += batch.news.inputs.back().records;
  }
  const Presence presence(plan_, (composition.batch_ms() - zero_ms_) / interval_ms_, absent);
  for (const OutputPiece& piece : plan_.output_pieces()) {
    if (presence.Has(piece.from)) batch.outputs.emplace(piece.output, 0);
  }
  out.push_back(batch.news);
}

void BatchEvents::Started(MonotonicTime now, int64_t batch_ms, std::vector<DriverCommand>& out) {
  const auto found = open_.find(batch_ms);
  if (found == open_.end() || found->second.news.started != 0) return;
  Open& batch = found->second;
  batch.news.what = BatchNews::What::kStarted;
  batch.news.started = now;
  out.push_back(batch.news);
  for (auto& [output, started] : batch.outputs) {
    started = now;
    out.push_back(OutputNews{false, batch_ms, output, now, 0, ""});
  }
}

void BatchEvents::EndOutput(MonotonicTime now, Open& batch, uint32_t output,
                            const std::string& failure, std::vector<DriverCommand>& out) {
  const auto found = batch.outputs.find(output);
  if (found == batch.outputs.end()) return;
  if (found->second != 0) {
    out.push_back(OutputNews{true, batch.news.batch_ms, output, found->second, now, failure});
  }
  batch.outputs.erase(found);
}

void BatchEvents::OutputEnded(MonotonicTime now, int64_t batch_ms, uint32_t output,
                              const std::string& failure, std::vector<DriverCommand>& out) {
  const auto found = open_.find(batch_ms);
  if (found != open_.end()) EndOutput(now, found->second, output, failure, out);
}

void BatchEvents::Decided(int64_t batch_ms, uint64_t records, uint64_t letters) {
  const auto found = open_.find(batch_ms);
  if (found == open_.end()) return;
  found->second.news.records = records;
  found->second.news.letters = letters;
}

void BatchEvents::Failed(MonotonicTime now, int64_t batch_ms, const std::string& cause,
                         std::vector<DriverCommand>& out) {
  const auto found = open_.find(batch_ms);
  if (found == open_.end()) return;
  Open& batch = found->second;
  while (!batch.outputs.empty()) EndOutput(now, batch, batch.outputs.begin()->first, cause, out);
  batch.news.what = BatchNews::What::kCompleted;
  batch.news.ended = now;
  batch.news.failure = cause;
  out.push_back(std::move(batch.news));
  open_.erase(found);
}

void BatchEvents::Advance(MonotonicTime now, int64_t durable_ms, std::vector<DriverCommand>& out) {
  while (!open_.empty() && open_.begin()->first <= durable_ms) {
    Open& batch = open_.begin()->second;
    // A partition's code ended before the decision that it was waited for; what rolls is staged for
    // good, and its file is of several batches.
    for (const Output& output : plan_.graph().outputs()) {
      const bool ended = output.kind == OutputKind::kForeachPartition || Rolls(output);
      if (ended) EndOutput(now, batch, output.id, "", out);
    }
    if (!batch.outputs.empty()) return;
    batch.news.what = BatchNews::What::kCompleted;
    batch.news.ended = now;
    out.push_back(std::move(batch.news));
    open_.erase(open_.begin());
  }
}

}  // namespace sluice
