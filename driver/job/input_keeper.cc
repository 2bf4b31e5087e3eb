#include "driver/job/input_keeper.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_store.h"
#include "common/crc32c.h"

namespace sluice {
namespace {

constexpr uint64_t kChunkBytes = 1 << 20;
constexpr MonotonicTime kAnswerUs = 1'000'000;   // then the next holder is asked
constexpr MonotonicTime kAskAgainUs = 200'000;   // after an answer that does not help
constexpr int kRefusalsMax = 2;  // then a holder counts as one no more
constexpr MonotonicTime kBackoffFirstUs = 100'000;
constexpr MonotonicTime kBackoffLastUs = 10'000'000;

// In the order of the composition.
std::vector<proto::BlockInfo> BlocksOf(const proto::Composition& composition) {
  std::vector<proto::BlockInfo> blocks;
  std::set<BlockId> seen;
  for (const auto& source : composition.sources()) {
    for (const auto& task : source.tasks()) {
      for (const auto& piece : task.pieces()) {
        if (!piece.has_block() || !seen.insert(BlockIdOf(piece.block().name())).second) continue;
        blocks.push_back(piece.block());
      }
    }
  }
  return blocks;
}

}  // namespace

void InputKeeper::Begin(int64_t batch_ms, std::string reason) {
  batch_ms_ = batch_ms;
  reason_ = std::move(reason);
  blocks_ = BlocksOf(state_->planned().at(batch_ms));
  next_ = 0;
  refusals_.clear();
  asked_holder_ = 0;
  asked_ = not_before_ = backoff_ = 0;
  bytes_.clear();
  writing_ = listed_ = false;
}

std::string InputKeeper::Prefix() const {
  return KeptPrefix(state_->job().job_instance(), batch_ms_);
}

std::string InputKeeper::ObjectOf(const proto::BlockInfo& block) const {
  const proto::BlockName& name = block.name();
  return absl::StrCat(Prefix(), name.stream(), "-",
                      absl::Hex(name.incarnation(), absl::kZeroPad16), "-", name.number());
}

bool InputKeeper::Lost(const proto::BlockInfo& block) const {
  const auto it = state_->blocks().find(BlockIdOf(block.name()));
  return it == state_->blocks().end() || it->second.lost;
}

std::string InputKeeper::List() const {
  proto::KeptInput kept;
  kept.set_job_name(state_->job().job_name());
  kept.set_job_instance(state_->job().job_instance());
  kept.set_batch_ms(batch_ms_);
  kept.set_reason(reason_);
  for (const proto::BlockInfo& block : blocks_) {
    auto& object = *kept.add_blocks();
    *object.mutable_block() = block.name();
    object.set_lost(Lost(block));
    if (!object.lost()) object.set_object(ObjectOf(block));
  }
  *kept.mutable_composition() = state_->planned().at(batch_ms_);
  std::string text;
  google::protobuf::TextFormat::PrintToString(kept, &text);
  return text;
}

void InputKeeper::Next() {
  ++next_;
  refusals_.clear();
  bytes_.clear();
  asked_ = 0;
}

std::optional<proto::Skipped> InputKeeper::Advance(MonotonicTime now,
                                                   std::vector<DriverCommand>& out) {
  if (!busy() || writing_ || !durable_->planned().contains(batch_ms_)) return std::nullopt;
  if (listed_) {
    proto::Skipped skipped;
    skipped.set_batch_ms(batch_ms_);
    skipped.set_reason(reason_);
    skipped.set_kept(Prefix() + "list");
    batch_ms_ = 0;
    blocks_.clear();
    return skipped;
  }
  while (next_ < blocks_.size() && Lost(blocks_[next_])) Next();
  if (now < not_before_) return std::nullopt;
  if (next_ == blocks_.size()) {
    writing_ = true;
    out.push_back(KeepAside{Prefix() + "list", List()});
  } else if (bytes_.size() == blocks_[next_].bytes()) {
    writing_ = true;
    out.push_back(KeepAside{ObjectOf(blocks_[next_]), bytes_});
  } else if (asked_ == 0 || now - asked_ > kAnswerUs) {
    Ask(now, blocks_[next_], out);
  }
  return std::nullopt;
}

// Any holder may go on where another has stopped: the bytes of a block are the same everywhere.
void InputKeeper::Ask(MonotonicTime now, const proto::BlockInfo& block,
                      std::vector<DriverCommand>& out) {
  const std::vector<std::string> holders = holders_(BlockIdOf(block.name()));
  if (holders.empty()) return;  // on their way back, or lost, which the job's status says
  if (asked_ != 0) ++asked_holder_;
  asked_ = now;
  asked_worker_ = holders[asked_holder_ % holders.size()];
  Send send{members_->AddressOf(asked_worker_), {}};
  auto& fetch = *send.message.mutable_fetch_block();
  *fetch.mutable_name() = block.name();
  fetch.set_offset(bytes_.size());
  fetch.set_length(kChunkBytes);
  fetch.set_request(++request_);
  out.push_back(std::move(send));
}

std::optional<std::pair<std::string, BlockId>> InputKeeper::OnFetched(
    MonotonicTime now, const proto::FetchedBlock& fetched) {
  if (!busy() || writing_ || asked_ == 0 || fetched.request() != request_) return std::nullopt;
  asked_ = 0;
  const proto::BlockInfo& block = blocks_[next_];
  const bool fits = fetched.found() && fetched.offset() == bytes_.size() &&
                    !fetched.data().empty() &&
                    bytes_.size() + fetched.data().size() <= block.bytes();
  if (fits) {
    bytes_ += fetched.data();
    // Blocks of a daemon in this very process come without a checksum.
    const bool whole = bytes_.size() == block.bytes();
    if (!whole || block.crc32c() == 0 || Crc32c(bytes_) == block.crc32c()) return std::nullopt;
  }
  bytes_.clear();
  ++asked_holder_;
  not_before_ = now + kAskAgainUs;
  if (++refusals_[asked_worker_] < kRefusalsMax) return std::nullopt;
  return std::pair{asked_worker_, BlockIdOf(block.name())};
}

void InputKeeper::OnKept(MonotonicTime now, const KeptAside& kept,
                         std::vector<DriverCommand>& out) {
  if (!busy() || !writing_ || !kept.name.starts_with(Prefix())) return;
  writing_ = false;
  if (!kept.error.empty()) {
    if (backoff_ == 0) {
      out.push_back(Say{Say::Level::kWarning,
                        absl::StrCat("the input of batch ", batch_ms_, " cannot be kept aside and "
                                     "is tried again: ", kept.error)});
    }
    backoff_ = std::min(std::max(backoff_ * 2, kBackoffFirstUs), kBackoffLastUs);
    not_before_ = now + backoff_;
    return;
  }
  backoff_ = 0;
  if (next_ == blocks_.size()) {
    listed_ = true;
  } else {
    Next();
  }
}

}  // namespace sluice
