#include "driver/job/job_state.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "driver/job/program.h"

namespace sluice {
namespace {

// Entries whose key begins with a number: those whose number has a new one.
template <typename Key, typename Value>
std::map<std::pair<uint32_t, Key>, Value> Renumbered(
    std::map<std::pair<uint32_t, Key>, Value> former, const std::map<uint32_t, uint32_t>& numbers) {
  std::map<std::pair<uint32_t, Key>, Value> now;
  for (auto& [key, value] : former) {
    const auto number = numbers.find(key.first);
    if (number != numbers.end()) now[{number->second, key.second}] = std::move(value);
  }
  return now;
}

}  // namespace

void JobState::Restore(const proto::DriverState& kept) {
  job_ = kept.job();
  program_ = kept.program();
  for (const auto& p : kept.producers()) {
    producers_[p.stream()][p.producer()] = {p.last(), p.heard_ms()};
  }
  for (const auto& i : kept.incarnations()) {
    incarnations_[{i.stream(), i.incarnation()}] = {i.number(), i.records(), i.taken(),
                                                        i.forgotten()};
  }
  for (const auto& f : kept.files()) files_[{f.stream(), f.path()}] = f;
  for (const auto& o : kept.outputs()) published_ms_[o.output()] = o.published_ms();
  for (const auto& r : kept.rolling()) rolling_[r.output()] = r;
  for (const auto& b : kept.blocks()) {
    const BlockId key = BlockIdOf(b.block().name());
    blocks_[key] = {b.block(), {b.holders().begin(), b.holders().end()}, b.batch_ms(), b.lost()};
    if (b.batch_ms() == 0) waiting_.push_back(key);
  }
  for (const auto& c : kept.planned()) planned_[c.batch_ms()] = c;
  for (const auto& d : kept.decided()) {
    decided_[d.decided().batch_ms()] = {d.decided(),
                                        {d.slot(), d.checksum()},
                                        {d.unpublished().begin(), d.unpublished().end()},
                                        d.letters_unkept()};
  }
  ran_ms_ = kept.ran_ms();
  last_planned_ms_ = kept.last_planned_ms();
  last_decided_ms_ = kept.last_decided_ms();
  decided_batches_ = kept.decided_batches();
  failed_batches_ = kept.failed_batches();
  kept_batches_ = kept.kept_batches();
  records_total_ = kept.records_total();
  accepted_losses_ = kept.accepted_losses();
  letters_.Restore(kept);
  sealed_ms_ = kept.sealed_ms();
  sealed_manifest_ = kept.sealed_manifest();
  reshaped_ms_ = kept.reshaped_ms();
  collected_.assign(kept.collected().begin(), kept.collected().end());
}

absl::Status JobState::Apply(const proto::Entry& entry) {
  switch (entry.entry_case()) {
    case proto::Entry::kJobBegun:
      if (!begun()) job_ = entry.job_begun();
      return absl::OkStatus();
    case proto::Entry::kProgramSeen:
      ApplyProgram(entry.program_seen());
      return absl::OkStatus();
    case proto::Entry::kBlockAdded:
      ApplyBlock(entry.block_added());
      return absl::OkStatus();
    case proto::Entry::kLost: {
      LoggedBlock* block = FindBlock(BlockIdOf(entry.lost().name()));
      if (block == nullptr || block->lost) return absl::OkStatus();
      block->lost = true;
      accepted_losses_ += block->info.records();
      return absl::OkStatus();
    }
    case proto::Entry::kPlanned:
      return ApplyPlanned(entry.planned().composition());
    case proto::Entry::kDecided:
      return ApplyDecided(entry.decided());
    case proto::Entry::kPublished:
      ApplyPublished(entry.published());
      return absl::OkStatus();
    case proto::Entry::kRolling:
      rolling_[entry.rolling().output()] = entry.rolling();
      return absl::OkStatus();
    case proto::Entry::kSkipped:
      ApplySkipped(entry.skipped());
      return absl::OkStatus();
    case proto::Entry::kSealed:
      sealed_ms_ = std::max(sealed_ms_, entry.sealed().batch_ms());
      sealed_manifest_ = entry.sealed().manifest();
      return absl::OkStatus();
    case proto::Entry::kCollected:
      ApplyCollected(entry.collected());
      for (const auto& file : entry.collected().forgotten()) {
        files_.erase({file.stream(), file.path()});
      }
      return absl::OkStatus();
    case proto::Entry::kReceiverRetired: {
      const auto& retired = entry.receiver_retired();
      Incarnation& incarnation = incarnations_[{retired.stream(), retired.incarnation()}];
      incarnation.taken = std::max(incarnation.taken, retired.taken());
      incarnation.forgotten |= retired.forgotten();
      return absl::OkStatus();
    }
    case proto::Entry::kReshaped:
      return ApplyReshaped(entry.reshaped());
    case proto::Entry::kLettersKept:
      ApplyLettersKept(entry.letters_kept().batch_ms());
      return absl::OkStatus();
    case proto::Entry::kLettersReplayed:
      letters_.Replayed(entry.letters_replayed());
      return absl::OkStatus();
    case proto::Entry::kProducersForgotten:
      ForgetProducers(entry.producers_forgotten());
      return absl::OkStatus();
    case proto::Entry::ENTRY_NOT_SET:
      break;
  }
  return absl::DataLossError("driver log: an entry of a kind this release does not know");
}

void JobState::ApplyBlock(const proto::BlockAdded& added) {
  const BlockId key = BlockIdOf(added.block().name());
  if (LoggedBlock* known = FindBlock(key)) {
    known->holders.assign(added.holders().begin(), added.holders().end());
    if (added.block().in_store()) known->info.set_in_store(true);
    return;
  }
  Incarnation& incarnation = incarnations_[{key.stream, key.incarnation}];
  if (key.number <= incarnation.number) return;
  incarnation.number = key.number;
  if (added.block().records() == 0) return;  // a refused block: its number is used up
  if (!added.block().reliable()) incarnation.records += added.block().records();
  for (const auto& range : added.block().producers()) {
    producers_[key.stream][range.producer()] = {range.last(), ran_ms_};
  }
  blocks_[key] = {added.block(), {added.holders().begin(), added.holders().end()}, 0, false};
  waiting_.push_back(key);
}

// What is known of sources and outputs by number is of the former program: in this one their
// numbers may be others'. Blocks and their receivers keep the number that is in their names: what a
// daemon still holds of them is known by it.
void JobState::ApplyProgram(const proto::ProgramSeen& seen) {
  const Renumbering to(program_, seen);
  program_ = seen;
  if (!to.changes) return;
  std::map<uint32_t, Producers> producers;
  for (auto& [stream, of_stream] : producers_) {
    const auto number = to.nodes.find(stream);
    if (number != to.nodes.end()) producers[number->second] = std::move(of_stream);
  }
  producers_ = std::move(producers);
  files_ = Renumbered(std::move(files_), to.stages);
  letters_.Renumber(to.stages);
  for (auto& [key, file] : files_) file.set_stream(key.first);
  std::map<uint32_t, int64_t> published;
  for (const auto& [output, ms] : published_ms_) {
    const auto number = to.outputs.find(output);
    if (number != to.outputs.end()) published[number->second] = ms;
  }
  published_ms_ = std::move(published);
}

absl::Status JobState::ApplyReshaped(const proto::Reshaped& reshaped) {
  if (FirstUndecided() != 0) {
    return absl::DataLossError(absl::StrCat("driver log: batch ", FirstUndecided(),
                                            " was not decided when the shape changed"));
  }
  job_.set_partitions(reshaped.partitions());
  job_.set_batch_interval_ms(reshaped.batch_interval_ms());
  reshaped_ms_ = last_planned_ms_;
  return absl::OkStatus();
}

// What they hold is in the store now.
void JobState::ApplyLettersKept(int64_t batch_ms) {
  const auto it = decided_.find(batch_ms);
  if (it == decided_.end()) return;
  it->second.letters_unkept = false;
  more_done_ = true;
  it->second.decided.clear_letters();
}

void JobState::ApplySkipped(const proto::Skipped& skipped) {
  const auto it = planned_.find(skipped.batch_ms());
  if (it == planned_.end()) return;
  for (auto& source : *it->second.mutable_sources()) {
    for (auto& task : *source.mutable_tasks()) task.clear_pieces();
  }
  it->second.clear_letters();
  it->second.set_empty(true);
  ++failed_batches_;
  if (!skipped.kept().empty()) ++kept_batches_;
}

// One every ten seconds is enough: checkpoints may come much faster.
void JobState::ApplyCollected(const proto::Collected& collected) {
  constexpr int64_t kApartMs = 10'000;
  if (collected.slot() == 0) return;
  // Of a clock that was set back since: they would be young for as long as it had been ahead.
  for (proto::Collected& former : collected_) {
    former.set_wall_ms(std::min(former.wall_ms(), collected.wall_ms()));
  }
  const size_t count = collected_.size();
  const bool close =
      count >= 2 && collected.wall_ms() - collected_[count - 2].wall_ms() < kApartMs;
  if (close) collected_.pop_back();
  collected_.push_back(collected);
  while (collected_.size() > 1 &&
         collected_[1].wall_ms() <= collected.wall_ms() - kKeepSlotsMs) {
    collected_.erase(collected_.begin());
  }
}

uint64_t JobState::CollectableSlot(int64_t wall_ms) const {
  uint64_t slot = 0;
  for (const proto::Collected& collected : collected_) {
    if (collected.wall_ms() <= wall_ms - kKeepSlotsMs) slot = std::max(slot, collected.slot());
  }
  return slot;
}

absl::Status JobState::ApplyPlanned(const proto::Composition& composition) {
  const int64_t batch_ms = composition.batch_ms();
  if (batch_ms <= last_planned_ms_) {
    return absl::DataLossError(absl::StrCat("driver log: batch planned twice: ", batch_ms));
  }
  last_planned_ms_ = batch_ms;
  ran_ms_ += job_.batch_interval_ms();
  TakeFilesAndBlocks(composition);
  planned_[batch_ms] = composition;
  letters_.Planned(composition);
  return absl::OkStatus();
}

void JobState::TakeFilesAndBlocks(const proto::Composition& composition) {
  std::set<BlockId> taken;
  for (const auto& source : composition.sources()) {
    for (const auto& task : source.tasks()) {
      for (const auto& piece : task.pieces()) {
        if (piece.has_block()) taken.insert(BlockIdOf(piece.block().name()));
        if (!piece.has_file()) continue;
        proto::TakenFile& file = files_[{source.stage(), piece.file().path()}];
        file.set_stream(source.stage());
        file.set_path(piece.file().path());
        file.set_size(piece.file().file_size());
        file.set_modified_ns(piece.file().modified_ns());
      }
    }
  }
  for (const BlockId& key : taken) {
    if (LoggedBlock* block = FindBlock(key)) block->batch_ms = composition.batch_ms();
  }
  std::erase_if(waiting_, [&](const BlockId& key) { return taken.contains(key); });
}

absl::Status JobState::ApplyDecided(const proto::Decided& decided) {
  if (decided.batch_ms() != FirstUndecided()) {
    return absl::DataLossError(
        absl::StrCat("driver log: batch decided out of order: ", decided.batch_ms()));
  }
  last_decided_ms_ = decided.batch_ms();
  ++decided_batches_;
  records_total_ += decided.records();
  DecidedBatch& batch = decided_[decided.batch_ms()];
  batch.decided = decided;
  batch.letters_unkept = decided.letters_size() > 0;
  letters_.Decided(decided);
  for (const auto& output : decided.outputs()) {
    if (output.has_dataset()) batch.unpublished.insert(output.output());
  }
  return absl::OkStatus();
}

void JobState::ApplyPublished(const proto::Published& published) {
  const uint32_t output = published.output();
  published_ms_[output] = published.batch_ms();
  rolling_.erase(output);
  more_done_ = true;
  const int64_t from_ms = published.from_ms() != 0 ? published.from_ms() : published.batch_ms();
  for (auto it = decided_.lower_bound(from_ms);
       it != decided_.end() && it->first <= published.batch_ms(); ++it) {
    it->second.unpublished.erase(output);
  }
}

void JobState::SetPosition(int64_t batch_ms, LogPosition position) {
  const auto it = decided_.find(batch_ms);
  if (it != decided_.end()) it->second.position = position;
}

proto::DriverState JobState::Keep(uint64_t first_live_slot) const {
  proto::DriverState kept;
  *kept.mutable_job() = job_;
  *kept.mutable_program() = program_;
  kept.set_first_live_slot(first_live_slot);
  for (const auto& [stream, producers] : producers_) {
    for (const auto& [name, producer] : producers) {
      auto* p = kept.add_producers();
      p->set_stream(stream);
      p->set_producer(name);
      p->set_last(producer.last);
      p->set_heard_ms(producer.heard_ms);
    }
  }
  for (const auto& [key, incarnation] : incarnations_) {
    auto* i = kept.add_incarnations();
    i->set_stream(key.first);
    i->set_incarnation(key.second);
    i->set_number(incarnation.number);
    i->set_records(incarnation.records);
    i->set_taken(incarnation.taken);
    i->set_forgotten(incarnation.forgotten);
  }
  for (const auto& [key, file] : files_) *kept.add_files() = file;
  for (const auto& [output, published_ms] : published_ms_) {
    auto* o = kept.add_outputs();
    o->set_output(output);
    o->set_published_ms(published_ms);
  }
  for (const auto& [output, range] : rolling_) *kept.add_rolling() = range;
  KeepBlocks(kept);
  for (const auto& [batch_ms, composition] : planned_) *kept.add_planned() = composition;
  for (const auto& [batch_ms, batch] : decided_) {
    auto* d = kept.add_decided();
    *d->mutable_decided() = batch.decided;
    d->set_slot(batch.position.slot);
    d->set_checksum(batch.position.checksum);
    d->set_letters_unkept(batch.letters_unkept);
    d->mutable_unpublished()->Add(batch.unpublished.begin(), batch.unpublished.end());
  }
  kept.set_ran_ms(ran_ms_);
  kept.set_last_planned_ms(last_planned_ms_);
  kept.set_last_decided_ms(last_decided_ms_);
  kept.set_decided_batches(decided_batches_);
  kept.set_failed_batches(failed_batches_);
  kept.set_kept_batches(kept_batches_);
  kept.set_records_total(records_total_);
  kept.set_accepted_losses(accepted_losses_);
  letters_.Keep(kept);
  kept.set_sealed_ms(sealed_ms_);
  kept.set_sealed_manifest(sealed_manifest_);
  kept.set_reshaped_ms(reshaped_ms_);
  for (const proto::Collected& collected : collected_) *kept.add_collected() = collected;
  return kept;
}

const proto::TakenFile* JobState::TakenFileAt(uint32_t stream, const std::string& path) const {
  const auto it = files_.find({stream, path});
  return it == files_.end() ? nullptr : &it->second;
}

void JobState::FallBackTo(int64_t batch_ms, const std::string& manifest) {
  sealed_ms_ = batch_ms;
  sealed_manifest_ = manifest;
}

void JobState::ForgetCovered() {
  planned_.erase(planned_.begin(), planned_.upper_bound(sealed_ms_));
  if (trimmed_ms_ == sealed_ms_ && !more_done_) return;
  trimmed_ms_ = sealed_ms_;
  more_done_ = false;
  for (auto it = decided_.begin(); it != decided_.end() && it->first <= sealed_ms_;) {
    DecidedBatch& batch = it->second;
    if (batch.unpublished.empty() && !batch.letters_unkept) {
      it = decided_.erase(it);
      continue;
    }
    // It may stay for long, where its output waits to become part of a file.
    for (auto& output : *batch.decided.mutable_outputs()) {
      if (!batch.unpublished.contains(output.output())) output.clear_printed();
    }
    batch.decided.clear_states();
    ++it;
  }
}

int64_t JobState::FirstUndecided() const {
  const auto it = planned_.upper_bound(last_decided_ms_);
  return it == planned_.end() ? 0 : it->first;
}

}  // namespace sluice
