#include "tests/sim/letters.h"

#include <google/protobuf/text_format.h>

#include <set>

#include "checkpoint/checkpoint_store.h"
#include "checkpoint/letters.h"
#include "tests/sim/cluster.h"

namespace sluice::sim {
namespace {

constexpr int64_t kReplayEveryUs = 400'000;
constexpr int kWishMax = 2;  // a batch may have few bad records

}  // namespace

// Everybody asks for the letters of the oldest batch that has some, or as long as there are faults
// of the newest, again and again, and each wish may reach a driver that was replaced meanwhile.
void Cluster::AskForReplay() {
  proto::Envelope message;
  proto::ReplayLetters& replay = *message.mutable_replay_letters();
  const bool newest =
      site_->world.now() < site_->knobs.faults_until_us && chaos_->Chance(0.5);
  const absl::Status read = ForLetters(&site_->objects, 0, 0, [&](const proto::Letter& letter) {
    const bool first = replay.letters().empty();
    const bool other = !first && replay.letters(0).batch_ms() != letter.batch_ms();
    if (other && !newest) return false;
    if (other) replay.clear_letters();
    *replay.add_letters() = letter;
    return true;
  });
  if (read.ok() && !replay.letters().empty() && replay.letters_size() <= kWishMax) {
    replay.set_request(chaos_->Next() | 1);
    for (const std::string& driver : registered_) site_->world.Send(address_, driver, message);
  }
  Later(kReplayEveryUs, [this] { AskForReplay(); });
}

ReferenceInterpreter::Aside AsideOf(const proto::Composition& composition,
                                    const proto::Decided& decided, const StagePlan& plan) {
  ReferenceInterpreter::Aside aside;
  for (const proto::LetterInput& letter : composition.letters()) {
    aside.letters.push_back({plan.stages()[letter.stage()].root, letter.partition(),
                             letter.input(), letter.is_row(), letter.records().batch()});
  }
  for (const proto::LeftOut& left : decided.left_out()) {
    const Stage& stage = plan.stages()[left.stage()];
    if (stage.is_source) continue;
    auto& out = aside.left_out[{stage.root, left.task()}];
    out.rows.insert(left.records().begin(), left.records().end());
    out.keys.insert(left.keys().begin(), left.keys().end());
  }
  return aside;
}

void LeaveOut(const proto::Decided& decided, uint32_t stage, uint32_t task,
              std::vector<std::string>& encoded) {
  std::set<uint64_t> records;
  for (const proto::LeftOut& left : decided.left_out()) {
    if (left.stage() != stage || left.task() != task) continue;
    records.insert(left.records().begin(), left.records().end());
  }
  if (records.empty()) return;
  uint64_t place = 0;
  for (std::string& batch : encoded) {
    std::vector<uint32_t> scratch;
    const auto view = DecodeBatch(batch, scratch);
    RecordBatch rest;
    for (uint32_t i = 0; i < view->count; ++i, ++place) {
      if (!records.contains(place)) rest.Append(view->record(i));
    }
    std::string shorter;
    EncodeBatch(rest.view(), shorter);
    batch = std::move(shorter);
  }
}

void LetterChecks::Note(const proto::Entry& entry) {
  if (entry.has_job_begun()) job_instance_ = entry.job_begun().job_instance();
  for (const auto& source : entry.planned().composition().sources()) {
    for (const auto& task : source.tasks()) {
      for (const auto& piece : task.pieces()) planned_records_ += piece.inlined().records();
    }
  }
  for (const auto& letter : entry.planned().composition().letters()) {
    planned_behind_[{letter.letter_batch_ms(), letter.letter_number()}].insert(
        entry.planned().composition().batch_ms());
  }
  for (const auto& letter : entry.letters_replayed().behind()) {
    behind_[{letter.batch_ms(), letter.number()}] = letter;
  }
  for (const auto& records : entry.letters_replayed().records()) {
    replayed_records_ += records.records().records();
  }
  for (const auto& name : entry.letters_replayed().letters()) {
    ++replayed_[{name.batch_ms(), name.number()}];
  }
  if (!entry.has_decided()) return;
  last_decided_ms_ = entry.decided().batch_ms();
  if (entry.decided().letters().empty()) return;
  behind_fails_ = entry.decided().letters(0).source_key().empty();
  decided_[entry.decided().batch_ms()] = entry.decided();
  letters_ += entry.decided().letters_size();
}

void LetterChecks::Check(Site& site) const {
  if (letters_ > 0) site.world.Count("letters: record set aside");
  if (!replayed_.empty()) site.world.Count("letters: run again");
  for (const auto& [name, times] : replayed_) {
    if (times != 1) site.Break("I2: a letter was run again twice");
  }
  if (planned_records_ != replayed_records_) {
    site.Break("I1: records that were to be run again are in no batch, or in two");
  }
  for (const auto& [name, letter] : behind_) {
    site.world.Count(letter.record() < 0 ? "letters: key run again" : "letters: row run again");
    const auto batches = planned_behind_.find(name);
    if (batches == planned_behind_.end() || batches->second.size() != 1) {
      site.Break("I1: a letter that was to be run again is in no batch, or in two");
    }
  }
  // One record is poison: set aside where it first came, and once more each time it was run again.
  if (letters_ > 0 && !behind_fails_ && letters_ != 1 + replayed_.size()) {
    site.Break("I3: " + std::to_string(letters_) + " letters, " +
               std::to_string(replayed_.size()) + " of them run again");
  }
  if (planned_behind_.size() != behind_.size()) {
    site.Break("I2: letters are in a batch that nobody wished to be run again");
  }
  for (const auto& [batch_ms, decided] : decided_) {
    const auto text = site.objects.Get(LettersName(job_instance_, batch_ms));
    proto::KeptLetters kept;
    if (!text.ok() || !google::protobuf::TextFormat::ParseFromString(*text, &kept)) {
      site.Break("I1: the letters of batch " + std::to_string(batch_ms) + " are not in the store");
      return;
    }
    site.world.Count("letters: in the store");
    for (int i = 0; i < decided.letters_size(); ++i) {
      const bool same = i < kept.letters_size() && kept.letters(i).SerializeAsString() ==
                                                       decided.letters(i).SerializeAsString();
      if (!same) site.Break("I2: a letter in the store is not what was decided");
    }
  }
}

}  // namespace sluice::sim
