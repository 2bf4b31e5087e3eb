#include "tests/kills/job_log.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace sluice::kills {
namespace {

absl::Status Broken(const std::string& what) { return absl::FailedPreconditionError(what); }

JobLog::BlockKey KeyOf(const proto::BlockName& name) {
  return {name.stream(), name.incarnation(), name.number()};
}

}  // namespace

absl::Status JobLog::CatchUp(RocksDbLogFollower& follower) {
  ASSIGN_OR_RETURN(const std::vector<FollowedRecord> records, follower.CatchUp());
  for (const FollowedRecord& followed : records) RETURN_IF_ERROR(Apply(followed));
  return absl::OkStatus();
}

absl::Status JobLog::Apply(const FollowedRecord& followed) {
  slot = followed.record.slot;
  if (!followed.live) return absl::OkStatus();
  epoch = followed.record.epoch;
  for (const std::string& payload : followed.record.entries) {
    proto::Entry entry;
    if (!entry.ParseFromString(payload)) return Broken("an entry of the log cannot be read");
    const absl::Status applied = Apply(entry);
    if (!applied.ok()) return Broken(absl::StrCat("slot ", slot, ": ", applied.message()));
  }
  return absl::OkStatus();
}

absl::Status JobLog::Apply(const proto::Entry& entry) {
  switch (entry.entry_case()) {
    case proto::Entry::kJobBegun:
      job = entry.job_begun();
      return absl::OkStatus();
    case proto::Entry::kBlockAdded:
      return Add(entry.block_added().block());
    case proto::Entry::kPlanned:
      return Plan(entry.planned().composition());
    case proto::Entry::kDecided:
      return Decide(entry.decided());
    case proto::Entry::kPublished:
      published[entry.published().batch_ms()].insert(entry.published().output());
      return absl::OkStatus();
    case proto::Entry::kSealed:
      sealed_ms = entry.sealed().batch_ms();
      ++sealed;
      return absl::OkStatus();
    case proto::Entry::kLost:
    case proto::Entry::kSkipped:
      return Broken("the log gives up a block or a batch");
    default:
      return absl::OkStatus();
  }
}

absl::Status JobLog::Add(const proto::BlockInfo& block) {
  const BlockKey key = KeyOf(block.name());
  if (!blocks.emplace(key, block).second) return absl::OkStatus();  // other holders only
  waiting.insert(key);
  for (const auto& range : block.producers()) {
    int64_t& last = producers[{block.name().stream(), range.producer()}];
    if (range.first() != last + 1) {
      return Broken(absl::StrCat("records from ", range.first(), " of producer ", range.producer(),
                                 " are added behind ", last));
    }
    last = range.last();
  }
  return absl::OkStatus();
}

absl::Status JobLog::Plan(const proto::Composition& composition) {
  const int64_t batch_ms = composition.batch_ms();
  if (!planned.empty() && batch_ms <= planned.rbegin()->first) {
    return Broken(absl::StrCat("batch ", batch_ms, " is planned twice or out of order"));
  }
  planned[batch_ms] = composition;
  for (const auto& source : composition.sources()) {
    for (const auto& task : source.tasks()) {
      for (const auto& piece : task.pieces()) {
        if (piece.has_block() && waiting.erase(KeyOf(piece.block().name())) == 0) {
          return Broken(absl::StrCat("batch ", batch_ms, " takes a block that does not wait"));
        }
      }
    }
  }
  return absl::OkStatus();
}

absl::Status JobLog::Decide(const proto::Decided& batch) {
  const auto next =
      decided.empty() ? planned.begin() : planned.upper_bound(decided.rbegin()->first);
  if (next == planned.end() || next->first != batch.batch_ms()) {
    return Broken(absl::StrCat("batch ", batch.batch_ms(), " is decided twice or out of order"));
  }
  decided[batch.batch_ms()] = batch;
  decided_in = {epoch, batch.generation()};
  return absl::OkStatus();
}

}  // namespace sluice::kills
