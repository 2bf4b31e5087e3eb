#include "driver/job/letter_keeper.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_store.h"

namespace sluice {
namespace {

constexpr MonotonicTime kBackoffFirstUs = 100'000;
constexpr MonotonicTime kBackoffLastUs = 10'000'000;

}  // namespace

std::string LetterKeeper::NameOf(int64_t batch_ms) const {
  return LettersName(state_->job().job_instance(), batch_ms);
}

std::string LetterKeeper::Bytes(const proto::Decided& decided) const {
  proto::KeptLetters kept;
  kept.set_job_name(state_->job().job_name());
  kept.set_job_instance(state_->job().job_instance());
  *kept.mutable_letters() = decided.letters();
  std::string text;
  google::protobuf::TextFormat::PrintToString(kept, &text);
  return text;
}

bool LetterKeeper::idle() const {
  return std::none_of(state_->decided().upper_bound(all_kept_ms_), state_->decided().end(),
                      [](const auto& batch) { return batch.second.letters_unkept; });
}

void LetterKeeper::Advance(MonotonicTime now, std::vector<DriverCommand>& out) {
  if (putting_ms_ != 0 || now < not_before_) return;
  const auto& decided = state_->decided();
  for (auto it = decided.upper_bound(all_kept_ms_); it != decided.end(); ++it) {
    const auto& [batch_ms, batch] = *it;
    if (batch.position.slot == 0) return;  // its decision is not durable
    if (!batch.letters_unkept) {
      all_kept_ms_ = batch_ms;
      continue;
    }
    putting_ms_ = batch_ms;
    out.push_back(KeepAside{NameOf(batch_ms), Bytes(batch.decided)});
    return;
  }
}

void LetterKeeper::OnKept(MonotonicTime now, const KeptAside& kept,
                          std::vector<DriverCommand>& out) {
  if (putting_ms_ == 0 || kept.name != NameOf(putting_ms_)) return;
  const int64_t batch_ms = std::exchange(putting_ms_, 0);
  if (!kept.error.empty()) {
    if (backoff_ == 0) {
      out.push_back(Say{Say::Level::kWarning,
                        absl::StrCat("the letters of batch ", batch_ms, " cannot be put into the "
                                     "store, which is tried again: ", kept.error)});
    }
    backoff_ = std::min(std::max(backoff_ * 2, kBackoffFirstUs), kBackoffLastUs);
    not_before_ = now + backoff_;
    return;
  }
  backoff_ = 0;
  proto::Entry entry;
  entry.mutable_letters_kept()->set_batch_ms(batch_ms);
  log_->Enqueue(std::move(entry));
}

void NumberLetters(proto::Decided& decided) {
  auto& letters = *decided.mutable_letters();
  std::sort(letters.begin(), letters.end(), [&](const auto& a, const auto& b) {
    return std::tuple(a.stage(), a.task(), a.source(), a.record(), a.key()) <
           std::tuple(b.stage(), b.task(), b.source(), b.record(), b.key());
  });
  for (int i = 0; i < letters.size(); ++i) letters[i].set_number(static_cast<uint32_t>(i) + 1);
  auto& left = *decided.mutable_left_out();
  std::sort(left.begin(), left.end(), [](const auto& a, const auto& b) {
    return std::tuple(a.stage(), a.task()) < std::tuple(b.stage(), b.task());
  });
}

}  // namespace sluice
