#include "driver/job/letter_state.h"

#include <algorithm>

namespace sluice {

void LetterState::Restore(const proto::DriverState& kept) {
  count_ = kept.letters();
  for (const auto& name : kept.replayed()) replayed_.insert({name.batch_ms(), name.number()});
  waiting_.assign(kept.waiting_replays().begin(), kept.waiting_replays().end());
  answer_ = kept.replay_answer();
  behind_.assign(kept.waiting_behind().begin(), kept.waiting_behind().end());
}

void LetterState::Keep(proto::DriverState& kept) const {
  kept.set_letters(count_);
  for (const auto& [batch_ms, number] : replayed_) {
    auto& name = *kept.add_replayed();
    name.set_batch_ms(batch_ms);
    name.set_number(number);
  }
  kept.mutable_waiting_replays()->Assign(waiting_.begin(), waiting_.end());
  if (answer_.request() != 0) *kept.mutable_replay_answer() = answer_;
  kept.mutable_waiting_behind()->Assign(behind_.begin(), behind_.end());
}

void LetterState::Replayed(const proto::LettersReplayed& replayed) {
  for (const auto& name : replayed.letters()) replayed_.insert({name.batch_ms(), name.number()});
  waiting_.insert(waiting_.end(), replayed.records().begin(), replayed.records().end());
  answer_ = replayed.answer();
  behind_.insert(behind_.end(), replayed.behind().begin(), replayed.behind().end());
}

void LetterState::Planned(const proto::Composition& composition) {
  std::set<uint32_t> stages;
  for (const auto& source : composition.sources()) stages.insert(source.stage());
  std::erase_if(waiting_, [&](const auto& records) { return stages.contains(records.stage()); });
  std::set<std::pair<int64_t, uint32_t>> taken;
  for (const auto& letter : composition.letters()) {
    taken.insert({letter.letter_batch_ms(), letter.letter_number()});
  }
  std::erase_if(behind_, [&](const auto& letter) {
    return taken.contains({letter.batch_ms(), letter.number()});
  });
}

uint64_t LetterState::BytesOf(const proto::Letter& letter) {
  if (!letter.source_key().empty()) return letter.raw().size();
  constexpr uint64_t kBatchBytes = 128;  // of an empty one, and of what says where it goes
  return letter.ByteSizeLong() + kBatchBytes * std::max(letter.runs_size(), 1);
}

uint64_t LetterState::waiting_bytes() const {
  uint64_t bytes = 0;
  for (const auto& letter : behind_) bytes += BytesOf(letter);
  for (const auto& records : waiting_) bytes += records.records().batch().size();
  return bytes;
}

void LetterState::Renumber(const std::map<uint32_t, uint32_t>& stages) {
  std::erase_if(waiting_, [&](const auto& records) { return !stages.contains(records.stage()); });
  for (auto& records : waiting_) records.set_stage(stages.at(records.stage()));
}

}  // namespace sluice
