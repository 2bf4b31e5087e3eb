// Letters in the job driver's core: saying that there are some, and running them again
// (docs/dead_letters.md).
#include <map>

#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_store.h"
#include "common/encoded_batch.h"
#include "common/mutations.h"
#include "driver/job/job_driver_core.h"
#include "driver/job/letter_plan.h"

namespace sluice {
namespace {

// Of letters that wait for one batch, which travels in one message.
constexpr uint64_t kWaitingBytesMax = uint64_t{48} << 20;

}  // namespace

void JobDriverCore::SayLetters(const proto::Decided& decided) {
  if (decided.letters_size() == 0) return;
  const proto::Letter& first = decided.letters(0);
  out_.push_back(Say{
      Say::Level::kWarning,
      absl::StrCat("batch ", decided.batch_ms(), ": set aside ", decided.letters_size(),
                   " records or keys that made user code fail; the first, operator ",
                   first.operator_name(), ", from ", first.source(),
                   first.record() >= 0 ? absl::StrCat(" record ", first.record()) : "", ": ",
                   first.error())});
}

// Their window may slide long after the deadline of a drain, so it does not wait for them.
void JobDriverCore::SayLettersOwed() {
  const std::vector<proto::Letter>& owed = state_.letters().behind();
  if (owed.empty()) return;
  out_.push_back(Say{
      Say::Level::kWarning,
      absl::StrCat(owed.size(), " letters that are to be run again have not been: none of the "
                   "batches so far has a place for them, as where a window has yet to slide; the "
                   "first, operator ", owed.front().operator_name(), ", of batch ",
                   owed.front().batch_ms(),
                   options_.resumable ? "; the job runs them when it is started again on its "
                                        "checkpoint"
                                      : "; without a checkpoint nobody runs them any more")});
}

void JobDriverCore::ReportLetters(proto::JobStatus& status) const {
  status.set_letters(state_.letters().count());
  status.set_replayed_letters(state_.letters().replayed());
  if (state_.letters().count() > 0) {
    status.set_letters_at(options_.objects + "/" + kLettersFolder);
  }
  if (!log_.IsDurable(replay_sequence_)) return;
  proto::ReplayAnswer& answer = *status.mutable_replay();
  answer.set_request(replay_answer_.request());
  answer.set_taken(replay_answer_.taken());
  answer.set_before(replay_answer_.before());
  answer.set_refused(replay_answer_.refused());
}

// Nothing for a letter of a source that is no more.
std::optional<uint32_t> JobDriverCore::StageOfLetter(const proto::Letter& letter) const {
  for (const Stage& stage : plan_->stages()) {
    if (stage.is_source && SourceKey(graph_.node(stage.root).source) == letter.source_key()) {
      return stage.id;
    }
  }
  return std::nullopt;
}

absl::Status JobDriverCore::TakesLetter(const proto::Letter& letter) const {
  if (letter.number() == 0 || letter.batch_ms() > log_.durable().last_decided_ms()) {
    return absl::NotFoundError("whose batch is not decided");
  }
  if (letter.source_key().empty()) {
    return PlaceOfLetter(*plan_, state_.job().key_groups(), letter).status();
  }
  if (StageOfLetter(letter).has_value()) return absl::OkStatus();
  return absl::NotFoundError("whose source is not in the program: " + letter.source_key());
}

// What is logged is the decision: the next batch to be planned takes the records. A letter that was
// taken before is not taken again, whoever asks. What would be too much for one batch is refused.
void JobDriverCore::OnReplay(const proto::ReplayLetters& replay) {
  if (!begun_ || replay.request() == replay_answer_.request()) return;
  proto::LettersReplayed::Answer answer;
  answer.set_request(replay.request());
  proto::LettersReplayed taken;
  std::map<std::pair<uint32_t, uint32_t>, EncodedBatch> records;  // by stage and fixed size
  std::set<std::pair<int64_t, uint32_t>> seen;
  uint64_t bytes = state_.letters().waiting_bytes();
  for (const proto::Letter& letter : replay.letters()) {
    const absl::Status takes = TakesLetter(letter);
    const uint64_t size = LetterState::BytesOf(letter);
    if (state_.letters().WasReplayed(letter) && !kMutationLetterRunTwice) {
      answer.set_before(answer.before() + 1);
    } else if (!takes.ok()) {
      answer.set_refused(absl::StrCat("letter ", letter.batch_ms(), "-", letter.number(), ", ",
                                      takes.message()));
    } else if (final_ms_ != 0) {
      answer.set_refused("the job is ending");
    } else if (bytes + size > kWaitingBytesMax) {
      answer.set_refused(absl::StrCat("too many wait for the next batch, ", bytes,
                                      " bytes; try again when they have run"));
    } else if (seen.insert({letter.batch_ms(), letter.number()}).second) {
      bytes += size;
      auto& name = *taken.add_letters();
      name.set_batch_ms(letter.batch_ms());
      name.set_number(letter.number());
      if (letter.source_key().empty()) {
        proto::Letter& behind = *taken.add_behind() = letter;
        behind.clear_error();
        behind.clear_source();
        continue;
      }
      const auto key = std::pair{*StageOfLetter(letter), letter.fixed_size()};
      records.try_emplace(key, letter.fixed_size()).first->second.Append(letter.raw());
    }
  }
  answer.set_taken(taken.letters_size());
  replay_answer_ = answer;
  if (taken.letters_size() == 0) return;
  for (auto& [key, batch] : records) {
    auto& waiting = *taken.add_records();
    waiting.set_stage(key.first);
    waiting.mutable_records()->set_records(batch.count());
    waiting.mutable_records()->set_batch(batch.Take());
  }
  *taken.mutable_answer() = std::move(answer);
  proto::Entry entry;
  *entry.mutable_letters_replayed() = std::move(taken);
  replay_sequence_ = log_.Enqueue(std::move(entry));
}

}  // namespace sluice
