#include "driver/daemon/leader_seat.h"

#include <glog/logging.h>

#include <algorithm>
#include <set>

#include "checkpoint/errors.h"
#include "checkpoint/log_record.h"
#include "common/status.h"

namespace sluice::daemon {
namespace {

// A slot stays for longer than a daemon may have slept that still trusts a free one.
constexpr MonotonicTime kTrustUs = 30'000'000;
constexpr MonotonicTime kKeptUs = 4 * kTrustUs;
constexpr uint64_t kCollectSlots = 16;  // at a time

std::vector<proto::LeaderEntry::Binary> BinariesOf(const proto::JobTable& table) {
  std::vector<proto::LeaderEntry::Binary> binaries;
  std::set<std::string> known;
  const auto add = [&](const std::string& digest, uint64_t size) {
    if (digest.empty() || !known.insert(digest).second) return;
    proto::LeaderEntry::Binary& binary = binaries.emplace_back();
    binary.set_digest(digest);
    binary.set_size(size);
  };
  for (const proto::JobRecord& job : table.jobs()) {
    if (job.ended()) continue;
    add(job.spec().binary_digest(), job.spec().binary_size());
    for (const auto& file : job.spec().files()) add(file.digest(), file.size());
  }
  return binaries;
}

}  // namespace

LeaderSeat::LeaderSeat(LogStore* store, Options options)
    : store_(store),
      options_(std::move(options)),
      core_({options_.address, options_.node, options_.lease_us}) {}

LeaderSeat::News LeaderSeat::Turn() {
  if (late_) return *std::exchange(late_, std::nullopt);
  News news;
  Step(lease::Turn{}, &news);
  return news;
}

void LeaderSeat::Step(const lease::Event& event, News* news) {
  Carry(core_.Step(options_.now(), event), news);
}

void LeaderSeat::Carry(std::vector<lease::Command> commands, News* news) {
  for (const lease::Command& command : commands) {
    if (std::holds_alternative<lease::Look>(command)) {
      Step(LookAtLog(), news);
    } else if (const auto* open = std::get_if<lease::OpenEpoch>(&command)) {
      Step(Open(open->behind, news), news);
    } else if (std::holds_alternative<lease::Renew>(command)) {
      absl::Status status;
      Step(Append(NewEntry(), &status), news);
      if (status.ok() && core_.leads()) Collect();
    } else if (std::holds_alternative<lease::Lead>(command)) {
      news->lead = true;
      news->table = table_;
    } else if (const auto* follow = std::get_if<lease::Follow>(&command)) {
      // A takeover that was overtaken before anybody heard of it is none.
      news->follow = !std::exchange(news->lead, false);
      news->why = follow->why;
      log_.reset();
    }
  }
}

lease::Event LeaderSeat::LookAtLog() {
  lease::Seen seen;
  seen.begun = options_.now();
  const absl::StatusOr<std::optional<uint64_t>> length = store_->DurableLength();
  if (!length.ok()) {
    LOG_EVERY_N(WARNING, 20) << "cannot look at the job table's log: " << length.status();
    return lease::LookFailed{};
  }
  if (!*length || **length == 0) return seen;
  seen.slot = **length;
  const absl::StatusOr<std::string> bytes = store_->Get(seen.slot);
  if (!bytes.ok()) return lease::LookFailed{};
  const absl::StatusOr<LogRecord> record = DecodeLogRecord(*bytes);
  if (!record.ok()) return seen;  // whoever opens the log judges it
  seen.epoch = record->epoch;
  proto::LeaderEntry entry;
  if (record->entries.empty() || !entry.ParseFromString(record->entries.back())) return seen;
  seen.entry = true;
  seen.address = entry.address();
  seen.node = entry.node();
  seen.resigned = entry.resigned();
  binaries_.assign(entry.binaries().begin(), entry.binaries().end());
  return seen;
}

// A daemon that slept within a put may have put a slot that had been collected: such a record,
// which it does not count as written (log_core.h), stands below a gap, or below the first slot that
// was kept. So the log is what has no gap, without its first slot, which never has the only table.
absl::StatusOr<uint64_t> LeaderSeat::FirstSlot() {
  uint64_t first = 1, last = 0;
  RETURN_IF_ERROR(store_->ReadAll(1, [&](uint64_t slot, std::string_view) {
    if (slot != last + 1) first = slot;
    last = slot;
    return absl::OkStatus();
  }));
  return last > first ? first + 1 : first;
}

absl::StatusOr<std::unique_ptr<DriverLog>> LeaderSeat::OpenLog() {
  LogOpenOptions open;
  open.nonce = options_.random();
  open.stale_after_us = kTrustUs;
  ASSIGN_OR_RETURN(open.first_slot, FirstSlot());
  collected_ = open.first_slot;
  return DriverLog::Open(store_, options_.now, open);
}

lease::Event LeaderSeat::Open(uint64_t behind, News* news) {
  const MonotonicTime begun = options_.now();
  absl::StatusOr<std::unique_ptr<DriverLog>> opened = OpenLog();
  // Others may be beginning or collecting what was read: what is damaged is so the second time.
  if (IsDamaged(opened.status())) opened = OpenLog();
  if (!opened.ok()) {
    if (IsDamaged(opened.status())) news->failed = opened.status();
    LOG(WARNING) << "cannot take over: " << opened.status();
    return lease::OpenFailed{};
  }
  log_ = *std::move(opened);
  if (log_->last().slot != behind + 1) {
    // Somebody was there since we looked, and may be sure to lead. It is fenced now; nobody leads
    // until one of us has seen that nothing more comes.
    LOG(WARNING) << "a takeover came in between: slot " << log_->last().slot;
    log_.reset();
    return lease::OpenFailed{};
  }
  stalled_ = false;
  table_.Clear();
  for (const ReplayedEntry& replayed : log_->TakeReplayed()) {
    proto::LeaderEntry entry;
    if (entry.ParseFromString(replayed.payload)) {
      if (entry.has_table()) table_ = entry.table();
      continue;
    }
    news->failed = DamagedError("job table damaged: slot " +
                                std::to_string(replayed.position.slot) + " of " +
                                store_->Where() + " holds no entry");
    log_.reset();
    return lease::OpenFailed{};
  }
  slots_ = {{log_->last().slot, options_.now()}};
  table_at_ = 0;  // the first entry has the whole table
  return lease::Opened{begun, log_->epoch()};
}

proto::LeaderEntry LeaderSeat::NewEntry() const {
  proto::LeaderEntry entry;
  entry.set_address(options_.address);
  entry.set_node(options_.node);
  for (const auto& binary : BinariesOf(table_)) *entry.add_binaries() = binary;
  if (table_at_ == 0 || options_.now() - table_at_ > kKeptUs) *entry.mutable_table() = table_;
  return entry;
}

lease::Event LeaderSeat::Append(proto::LeaderEntry entry, absl::Status* status) {
  if (log_ == nullptr) {
    *status = absl::UnavailableError("this driver does not lead");
    return lease::Fenced{};
  }
  if (stalled_) {
    // It counts from its first try: that it is in the log says nothing of who came behind it since.
    const absl::StatusOr<LogPosition> position = log_->Retry();
    *status = position.status();
    const lease::Event event = Judge(position, stalled_begun_);
    if (!position.ok()) return event;
    if (!entry.has_table()) return event;  // a sign of life it was, too
  }
  const MonotonicTime begun = options_.now();
  stalled_table_ = entry.has_table();
  const absl::StatusOr<LogPosition> position = log_->Append({entry.SerializeAsString()});
  *status = position.status();
  return Judge(position, begun);
}

lease::Event LeaderSeat::Judge(const absl::StatusOr<LogPosition>& position, MonotonicTime begun) {
  if (position.ok()) {
    stalled_ = false;
    slots_.emplace_back(position->slot, begun);
    if (std::exchange(stalled_table_, false)) {
      table_slot_ = position->slot;
      table_at_ = begun;
    }
    return lease::Appended{begun};
  }
  if (log_->ended()) {
    LOG(WARNING) << "this driver leads no more: " << position.status();
    return lease::Fenced{};
  }
  stalled_ = true;
  stalled_begun_ = begun;
  LOG_EVERY_N(WARNING, 20) << "the job table's log cannot be written: " << position.status();
  return lease::AppendStalled{};
}

absl::Status LeaderSeat::Save(const proto::JobTable& table) {
  table_ = table;
  table_at_ = 0;  // so that the next entry has it
  absl::Status status;
  News news;
  Step(Append(NewEntry(), &status), &news);
  if (news.follow) late_ = std::move(news);
  return status;
}

void LeaderSeat::Resign() {
  if (!core_.leads() || log_ == nullptr) return;
  proto::LeaderEntry last = NewEntry();
  *last.mutable_table() = table_;
  last.set_resigned(true);
  absl::Status status;
  (void)Append(std::move(last), &status);
  LOG_IF(WARNING, !status.ok()) << "could not hand over in order: " << status;
  News news;
  Step(lease::Resigned{}, &news);
  log_.reset();
}

void LeaderSeat::Collect() {
  const MonotonicTime old = options_.now() - kKeptUs;
  uint64_t below = collected_;
  while (slots_.size() > 1 && slots_.front().second < old) {
    below = slots_.front().first;
    slots_.pop_front();
  }
  below = std::min(below, table_slot_ - 1);
  if (below < collected_ + kCollectSlots) return;
  collected_ = below;
  const absl::Status deleted = log_->DeleteBelow(below);
  LOG_IF(WARNING, !deleted.ok()) << "cannot collect slots of the job table's log: " << deleted;
}

}  // namespace sluice::daemon
