#include "checkpoint/log_core.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "checkpoint/errors.h"
#include "common/fault_point.h"
#include "common/mutations.h"
#include "common/status.h"

namespace sluice {
namespace {

// Appends are grouped in one record up to this size; a larger one goes alone.
constexpr uint64_t kGroupBytesMax = uint64_t{8} << 20;
constexpr uint64_t kFrameBytesMax = 1024;

uint64_t SizeOf(const LogAppend& append) {
  uint64_t size = 0;
  for (const std::string& entry : append.entries) size += 4 + entry.size();
  return size;
}

}  // namespace

LogCore::LogCore(const LogOpenOptions& options)
    : options_(options), chain_(std::max<uint64_t>(options.first_slot, 1), options.where) {
  options_.first_slot = std::max<uint64_t>(options_.first_slot, 1);
}

std::vector<LogCommand> LogCore::Step(int64_t now_us, const LogEvent& event) {
  now_us_ = std::max(now_us_, now_us);
  if (state_ != State::kStopped) {
    std::visit([this](const auto& e) { On(e); }, event);
  }
  return std::exchange(commands_, {});
}

void LogCore::On(const LogStart&) {
  if (state_ == State::kNew) Ask(LogRead{options_.first_slot}, State::kReading);
}

void LogCore::On(const LogReadDone& event) {
  if (!asked_ || !std::holds_alternative<LogRead>(*asked_)) return;
  if (Failed(event.status)) return;
  asked_.reset();
  if (state_ == State::kReading) return Replay(event);
  const State state = state_;
  if (absl::Status status = CheckTail(event); !status.ok()) return Stop(status);
  if (state == State::kConfirming) return Finished();
  sure_us_ = asked_us_;
  PutPending();
}

// What came into the log after it was asked for is not in the answer, which may come late.
void LogCore::Replay(const LogReadDone& event) {
  sure_us_ = asked_us_;
  const uint64_t known = std::max(event.witness.value_or(0), options_.durable_slot);
  for (size_t i = 0; i < event.slots.size(); ++i) {
    const auto& [slot, bytes] = event.slots[i];
    const bool may_be_torn = i + 1 == event.slots.size() && slot == chain_.next_slot() &&
                             slot > known && event.witness.has_value();
    if (may_be_torn && !DecodeLogRecord(bytes).ok()) {
      if (absl::Status status = CheckLength(event.witness); !status.ok()) return Stop(status);
      return Ask(LogCut{slot, bytes}, State::kCutting);
    }
    if (absl::Status status = ReplaySlot(slot, bytes); !status.ok()) return Stop(status);
  }
  if (absl::Status status = CheckLength(event.witness); !status.ok()) return Stop(status);
  BeginOpening();
}

absl::Status LogCore::ReplaySlot(uint64_t slot, std::string_view bytes) {
  absl::StatusOr<LogRecord> record = chain_.Decode(slot, bytes);
  if (!record.ok()) return record.status();
  const absl::StatusOr<LogChain::Verdict> verdict = chain_.Follow(slot, *record);
  if (!verdict.ok()) return verdict.status();
  if (*verdict == LogChain::Verdict::kVoid) return absl::OkStatus();
  for (std::string& entry : record->entries) {
    replayed_.push_back({chain_.last(), record->epoch, std::move(entry)});
  }
  return absl::OkStatus();
}

absl::Status LogCore::CheckLength(const std::optional<uint64_t>& witness) const {
  if (chain_.empty() && (options_.known_job || options_.first_slot > 1)) {
    return chain_.Damaged(options_.first_slot, "is missing: the log of a known job is empty");
  }
  if (!chain_.empty() && !witness.has_value()) {
    return chain_.Damaged(chain_.last().slot, "there is a log, but the witness of its length is "
                                              "missing");
  }
  const uint64_t known = std::max(witness.value_or(0), options_.durable_slot);
  if (known < chain_.next_slot()) return absl::OkStatus();
  return chain_.Damaged(chain_.next_slot(),
                        absl::StrCat("is missing; slots up to ", known, " were synced"));
}

void LogCore::BeginOpening() {
  epoch_ = chain_.highest_epoch() + 1;
  pending_ = LogRecord{};
  pending_.kind = LogRecordKind::kEpochOpened;
  pending_.nonce = options_.nonce;
  PutPending();
}

void LogCore::PutPending() {
  pending_.slot = chain_.next_slot();
  pending_.epoch = epoch_;
  pending_.predecessor = chain_.last().checksum;
  pending_bytes_ = EncodeLogRecord(pending_);
  Ask(LogPut{pending_.slot, pending_bytes_}, State::kPutting);
}

void LogCore::On(const LogPutDone& event) {
  if (!asked_ || state_ != State::kPutting || event.slot != pending_.slot) return;
  if (absl::IsAlreadyExists(event.status)) return Ask(LogGet{event.slot}, State::kLooking);
  if (Failed(event.status)) return;
  asked_.reset();
  PutSucceeded();
}

void LogCore::On(const LogGetDone& event) {
  if (!asked_ || state_ != State::kLooking || event.slot != pending_.slot) return;
  if (absl::IsNotFound(event.bytes.status())) {
    return Stop(FencedError(absl::StrCat("fenced: slot ", event.slot, " of ", options_.where,
                                         " was taken and is already collected")));
  }
  if (Failed(event.bytes.status())) return;
  asked_.reset();
  if (*event.bytes == pending_bytes_) return PutSucceeded();
  if (!opened_) {
    if (absl::Status status = ReplaySlot(event.slot, *event.bytes); !status.ok()) {
      return Stop(status);
    }
    return BeginOpening();
  }
  if (absl::Status status = Foreign(event.slot, *event.bytes); !status.ok()) return Stop(status);
  PutPending();
}

void LogCore::On(const LogCutDone& event) {
  if (!asked_ || state_ != State::kCutting) return;
  if (Failed(event.status)) return;
  BeginOpening();
}

// A put that was long on its way may have found its slot free because others had been there and
// had collected it. Slots go oldest first: if our predecessor is still there, nobody has.
void LogCore::PutSucceeded() {
  const bool fresh = now_us_ - sure_us_ <= options_.stale_after_us;
  if (fresh && !Fires(FaultPoint::kPutConfirmed)) return Finished();
  Ask(LogRead{std::max<uint64_t>(chain_.last().slot, 1)}, State::kConfirming);
}

void LogCore::Finished() {
  pending_.checksum = LogRecordChecksum(pending_bytes_);
  const LogPosition position = {pending_.slot, pending_.checksum};
  if (pending_.slot == chain_.next_slot()) {  // else it was followed when the tail was checked
    const absl::StatusOr<LogChain::Verdict> verdict = chain_.Follow(pending_.slot, pending_);
    if (!verdict.ok()) return Stop(verdict.status());
  }
  sure_us_ = asked_us_;
  state_ = State::kReady;
  if (opened_) {
    commands_.emplace_back(LogAppended{position, std::exchange(pending_ids_, {})});
  } else {
    opened_ = true;
    commands_.emplace_back(LogOpened{epoch_, position, std::exchange(replayed_, {})});
  }
  MaybeAppend();
}

void LogCore::On(const LogAppend& event) {
  if (SizeOf(event) + kFrameBytesMax > kLogRecordBytesMax) {
    return Stop(absl::InvalidArgumentError("an append is larger than a log record may be"));
  }
  waiting_.push_back(event);
  if (state_ == State::kReady) MaybeAppend();
}

void LogCore::MaybeAppend() {
  if (waiting_.empty()) return;
  pending_ = LogRecord{};
  uint64_t size = 0;
  while (!waiting_.empty()) {
    LogAppend& append = waiting_.front();
    size += SizeOf(append);
    const bool alone = size > kGroupBytesMax || Fires(FaultPoint::kAppendAlone);
    if (!pending_ids_.empty() && alone) break;
    pending_ids_.push_back(append.id);
    std::move(append.entries.begin(), append.entries.end(), std::back_inserter(pending_.entries));
    waiting_.pop_front();
  }
  const bool fresh = now_us_ - sure_us_ <= options_.stale_after_us;
  if (fresh && !Fires(FaultPoint::kTailChecked)) return PutPending();
  Ask(LogRead{chain_.last().slot}, State::kChecking);
}

absl::Status LogCore::CheckTail(const LogReadDone& event) {
  const bool has_predecessor = chain_.last().slot > 0;
  size_t i = 0;
  if (has_predecessor) {
    if (event.slots.empty() || event.slots[0].first != chain_.last().slot ||
        LogRecordChecksum(event.slots[0].second) != chain_.last().checksum) {
      return FencedError(absl::StrCat("fenced: slot ", chain_.last().slot, " of ", options_.where,
                                      " was collected by a newer driver"));
    }
    i = 1;
  }
  for (; i < event.slots.size(); ++i) {
    const auto& [slot, bytes] = event.slots[i];
    const bool ours = state_ == State::kConfirming && bytes == pending_bytes_;
    if (ours && slot == chain_.next_slot()) {
      LogRecord record = pending_;
      record.checksum = LogRecordChecksum(bytes);
      if (const auto verdict = chain_.Follow(slot, record); !verdict.ok()) return verdict.status();
      continue;
    }
    RETURN_IF_ERROR(Foreign(slot, bytes));
  }
  if (state_ == State::kConfirming && chain_.last().slot < pending_.slot) {
    return FencedError(absl::StrCat("fenced: slot ", pending_.slot, " of ", options_.where,
                                    " was collected by a newer driver"));
  }
  return absl::OkStatus();
}

absl::Status LogCore::Foreign(uint64_t slot, std::string_view bytes) {
  const absl::StatusOr<LogRecord> record = chain_.Decode(slot, bytes);
  if (!record.ok()) return record.status();
  const bool opens = record->kind == LogRecordKind::kEpochOpened;
  if (!kMutationEpochNotChecked &&
      (record->epoch > epoch_ || (opens && record->nonce != options_.nonce))) {
    return FencedError(absl::StrCat("fenced: slot ", slot, " of ", options_.where,
                                    " is of epoch ", record->epoch, ", this driver's is ",
                                    epoch_));
  }
  const absl::StatusOr<LogChain::Verdict> verdict = chain_.Follow(slot, *record);
  if (!verdict.ok()) return verdict.status();
  if (*verdict == LogChain::Verdict::kVoid || kMutationEpochNotChecked) return absl::OkStatus();
  return chain_.Damaged(slot, absl::StrCat("holds a record of epoch ", record->epoch,
                                           " that its driver did not write"));
}

void LogCore::On(const LogRetry&) {
  if (!stalled_ || !asked_) return;
  stalled_ = false;
  asked_us_ = now_us_;
  commands_.push_back(*asked_);
}

bool LogCore::Failed(const absl::Status& status) {
  if (status.ok()) return false;
  if (IsDamaged(status) || IsFenced(status) || IsStartAgain(status)) {
    Stop(status);
  } else {
    stalled_ = true;
    commands_.emplace_back(LogStalled{status});
  }
  return true;
}

void LogCore::Ask(LogCommand command, State state) {
  asked_ = command;
  asked_us_ = now_us_;
  stalled_ = false;
  state_ = state;
  commands_.push_back(std::move(command));
}

void LogCore::Stop(absl::Status status) {
  state_ = State::kStopped;
  asked_.reset();
  commands_.emplace_back(LogStopped{std::move(status)});
}

absl::Status LogCore::CheckWitness(uint64_t slot, const std::string& witness) const {
  if (slot <= chain_.last().slot) return absl::OkStatus();
  return chain_.Damaged(chain_.next_slot(), absl::StrCat("is missing; ", witness,
                                                         " has seen slot ", slot));
}

absl::Status LogCore::CollectBelow(uint64_t slot) {
  if (slot > chain_.last().slot) {
    return absl::InvalidArgumentError("the last record of the log is never collected");
  }
  chain_.ForgetBelow(slot);
  return absl::OkStatus();
}

}  // namespace sluice
