#include "driver/job/planner.h"

#include <algorithm>

#include "driver/job/letter_plan.h"

namespace sluice {
namespace {

// A range of a file smaller than this is not worth a task of its own.
constexpr uint64_t kRangeBytesMin = 256 << 10;

// Each block to the least loaded task near it, in the order of the log.
void PlanBlocks(const JobState& state, const PlanRequest& request, uint32_t stream,
                proto::SourceInput& input) {
  std::vector<uint64_t> load(request.tasks);
  const auto lightest = [&](const std::vector<uint32_t>& members) {
    int best = -1;
    for (uint32_t task = 0; task < request.tasks; ++task) {
      const bool near = members.empty() || request.member_of_task.empty() ||
                        std::find(members.begin(), members.end(),
                                  request.member_of_task[task]) != members.end();
      if (near && (best < 0 || load[task] < load[best])) best = static_cast<int>(task);
    }
    return best;
  };
  for (const BlockId& key : state.waiting_blocks()) {
    if (key.stream != stream) continue;
    const LoggedBlock& block = state.blocks().at(key);
    int task = lightest(request.members_holding(block));
    if (task < 0) task = lightest({});
    load[task] += block.info.bytes();
    *input.mutable_tasks(task)->add_pieces()->mutable_block() = block.info;
  }
}

// Where a file may be cut: at multiples of this; 0: nowhere.
uint64_t CutUnit(const SourceSpec& source, uint64_t file_size) {
  if (source.file_format == FileFormat::kLines) return 1;
  const bool fits = source.file_format == FileFormat::kFixedLength &&
                    file_size % source.record_length == 0;
  return fits ? source.record_length : 0;
}

// The end of the piece that begins at `begin` where there is room for so many bytes.
uint64_t PieceEnd(uint64_t begin, uint64_t room, uint64_t file_size, uint64_t unit) {
  if (unit == 0 || file_size - begin <= room) return file_size;
  return std::min(file_size, begin + std::max(room / unit, uint64_t{1}) * unit);
}

// Files in order of path, cut so that the tasks get about equal bytes, each a contiguous run.
void PlanFiles(const JobState& state, const PlanRequest& request, const Node& node,
               proto::SourceInput& input) {
  std::vector<const ListedFile*> taken;
  uint64_t total = 0;
  const auto listed = request.listed->files.find(node.id);
  if (listed == request.listed->files.end()) return;
  for (const ListedFile& file : listed->second) {
    if (file.settling || file.old || state.FileTaken(input.stage(), file.path)) continue;
    const bool over = request.max_batch_input != 0 && total + file.size > request.max_batch_input;
    if (over && !taken.empty()) break;
    taken.push_back(&file);
    total += file.size;
  }
  const uint64_t share = std::max(total / request.tasks + 1, kRangeBytesMin);
  uint32_t task = 0;
  uint64_t filled = 0;
  for (const ListedFile* file : taken) {
    const uint64_t unit = CutUnit(node.source, file->size);
    uint64_t begin = 0;
    do {
      if (filled >= share && task + 1 < request.tasks) {
        ++task;
        filled = 0;
      }
      const bool last_task = task + 1 == request.tasks;
      const uint64_t room = last_task ? file->size : share - filled;
      const uint64_t end = PieceEnd(begin, room, file->size, unit);
      auto& range = *input.mutable_tasks(task)->add_pieces()->mutable_file();
      range.set_path(file->path);
      range.set_begin(begin);
      range.set_end(end);
      range.set_file_size(file->size);
      range.set_modified_ns(file->modified_ns);
      filled += end - begin;
      begin = end;
    } while (begin < file->size);
  }
}

// An equal share for each task, the same at every batch.
void PlanConstant(const PlanRequest& request, const SourceSpec& source,
                  proto::SourceInput& input) {
  const uint64_t records = source.constant_records;
  for (uint64_t task = 0; task < request.tasks; ++task) {
    const uint64_t begin = records * task / request.tasks;
    const uint64_t end = records * (task + 1) / request.tasks;
    if (begin == end) continue;
    auto& range = *input.mutable_tasks(static_cast<int>(task))->add_pieces()->mutable_constant();
    range.set_begin(static_cast<uint32_t>(begin));
    range.set_end(static_cast<uint32_t>(end));
  }
}

void PlanQueue(const PlanRequest& request, uint32_t node, proto::SourceInput& input) {
  const auto queued = request.listed->queued.find(node);
  if (queued == request.listed->queued.end() || queued->second.empty()) {
    input.set_no_dataset(queued != request.listed->queued.end());
    return;
  }
  for (size_t i = 0; i < queued->second.size(); ++i) {
    const uint32_t task = static_cast<uint32_t>(i * request.tasks / queued->second.size());
    *input.mutable_tasks(task)->add_pieces()->mutable_inlined() = queued->second[i];
  }
}

// Records of letters that are run again: behind the rest, in the first task.
void PlanReplays(const JobState& state, proto::SourceInput& input) {
  for (const auto& replay : state.letters().waiting()) {
    if (replay.stage() != input.stage()) continue;
    input.set_no_dataset(false);
    *input.mutable_tasks(0)->add_pieces()->mutable_inlined() = replay.records();
  }
}

}  // namespace

proto::Composition PlanBatch(const StagePlan& plan, const JobState& state,
                             const PlanRequest& request) {
  proto::Composition composition;
  composition.set_batch_ms(request.batch_ms);
  composition.set_missed_from_ms(request.missed_from_ms);
  for (const Stage& stage : plan.stages()) {
    if (!stage.is_source) continue;
    proto::SourceInput& input = *composition.add_sources();
    input.set_stage(stage.id);
    for (uint32_t task = 0; task < request.tasks; ++task) input.add_tasks();
    const Node& node = plan.graph().node(stage.root);
    switch (node.source.kind) {
      case SourceKind::kReceiver:
      case SourceKind::kPush:
        PlanBlocks(state, request, stage.root, input);
        break;
      case SourceKind::kFiles:
        PlanFiles(state, request, node, input);
        break;
      case SourceKind::kQueue:
        PlanQueue(request, stage.root, input);
        break;
      case SourceKind::kConstant:
        PlanConstant(request, node.source, input);
        break;
    }
    PlanReplays(state, input);
  }
  PlanLetters(plan, state, composition);
  composition.mutable_values()->Assign(request.listed->values.begin(),
                                       request.listed->values.end());
  return composition;
}

PlannedInput InputOf(const proto::SourceInput& source, JobState& state) {
  PlannedInput planned;
  for (const auto& task : source.tasks()) {
    for (const auto& piece : task.pieces()) {
      if (piece.has_block()) {
        const LoggedBlock* block = state.FindBlock(BlockIdOf(piece.block().name()));
        if (block == nullptr || !block->lost) planned.block_records += piece.block().records();
      } else if (piece.has_file()) {
        planned.files = true;
        planned.file_bytes += piece.file().end() - piece.file().begin();
      } else if (piece.has_inlined()) {
        planned.inline_records += piece.inlined().records();
      } else if (piece.has_constant()) {
        planned.inline_records += piece.constant().end() - piece.constant().begin();
      }
    }
  }
  return planned;
}

}  // namespace sluice
