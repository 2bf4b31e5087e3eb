#include "worker/executor/state_parts.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "checkpoint/errors.h"
#include "common/kill_point.h"
#include "common/status.h"
#include "worker/executor/read_ahead.h"

namespace sluice {

void PartCache::Expect(const std::vector<std::string>& names) {
  if (ahead_ == 0) return;
  std::set<std::string_view> known(expected_.begin(), expected_.end());
  for (const std::string& name : names) {
    if (known.insert(name).second) expected_.push_back(name);
  }
}

void PartCache::AskAhead() {
  while (asked_.size() < ahead_ && !expected_.empty()) {
    const std::string name = std::move(expected_.front());
    expected_.pop_front();
    if (parts_.contains(name)) continue;
    asked_.emplace(name, ReadAhead([objects = objects_, name] { return objects->Get(name); }));
  }
}

absl::StatusOr<std::string> PartCache::Get(const std::string& name) {
  AskAhead();
  auto asked = asked_.extract(name);
  if (asked.empty()) return objects_->Get(name);
  absl::StatusOr<std::string> bytes = asked.mapped().get();
  AskAhead();
  return bytes;
}

absl::StatusOr<StatePartReader*> PartCache::Open(const std::string& name) {
  CloseOld();
  Part& part = parts_[name];
  part.used = ++uses_;
  if (part.reader == nullptr) {
    auto bytes = Get(name);
    if (absl::IsNotFound(bytes.status())) {  // a checkpoint that is kept names it
      return DamagedError("checkpoint damaged: " + objects_->Where() + "/" + name +
                          " is missing");
    }
    if (!bytes.ok()) return WithContext("state part " + name, bytes.status());
    part.bytes = bytes->size();
    bytes_ += part.bytes;
    ASSIGN_OR_RETURN(part.reader, codec_->Open(name, *std::move(bytes)));
    Pass(KillPoint::kStateLoaded);
  }
  return part.reader.get();
}

void PartCache::CloseOld() {
  while (bytes_ > bytes_max_) {
    const auto oldest =
        std::min_element(parts_.begin(), parts_.end(), [](const auto& a, const auto& b) {
          return a.second.used < b.second.used;
        });
    bytes_ -= oldest->second.bytes;
    parts_.erase(oldest);
  }
}

std::string PartWriter::ObjectName() const {
  return objects_put_ == 0 ? name_ : name_ + "-" + std::to_string(objects_put_ + 1);
}

void PartWriter::Begin(const std::string& operator_name, uint32_t partition, uint64_t entries) {
  pieces_.push_back({operator_name, partition, {}});
  if (bytes_max_ == UINT64_MAX) pieces_.back().entries.reserve(entries);
  first_told_ = written_.pieces.size();
}

void PartWriter::Add(const StateRow& row) {
  StateEntries& entries = pieces_.back().entries;
  const int64_t* const timer_ms = row.timer_ms != 0 ? &row.timer_ms : nullptr;
  if (row.removed) entries.Add(row.key, true, {}, nullptr, 0);
  else entries.Add(row.key, false, row.value, timer_ms, row.number);
  bytes_ += kEntryBytes + row.key.size() + row.value.size();
}

void PartWriter::TellPiece() {
  proto::CheckpointPart::Piece& told = written_.pieces.emplace_back();
  told.set_operator_name(pieces_.back().operator_name);
  told.set_partition(pieces_.back().partition);
  told.set_part(ObjectName());
}

absl::Status PartWriter::PutObject() {
  const std::string name = ObjectName();
  ASSIGN_OR_RETURN(const std::string bytes, codec_->Encode(std::exchange(pieces_, {})));
  written_.bytes += bytes.size();
  bytes_ = 0;
  ++objects_put_;
  const absl::Status put = objects_->PutIfAbsent(name, bytes);
  return put.ok() ? put : Annotate(put, "state part " + name + " in " + objects_->Where());
}

// The partition at hand goes on in the next object.
absl::Status PartWriter::PutIfFull() {
  if (bytes_ < bytes_max_) return absl::OkStatus();
  StatePiece rest{pieces_.back().operator_name, pieces_.back().partition, {}};
  if (pieces_.back().entries.empty()) {
    pieces_.pop_back();
  } else {
    TellPiece();
  }
  RETURN_IF_ERROR(PutObject());
  pieces_.push_back(std::move(rest));
  return absl::OkStatus();
}

void PartWriter::End(const StateSnapshot& snapshot) {
  // A partition that has gone on in further objects may have nothing in the last.
  const bool nothing = pieces_.back().entries.empty() && written_.pieces.size() > first_told_;
  if (!snapshot.written || nothing) {
    pieces_.pop_back();
  } else {
    TellPiece();
  }
  if (first_told_ < written_.pieces.size()) {
    written_.pieces[first_told_].set_whole(snapshot.whole);
  }
}

absl::StatusOr<WrittenPart> PartWriter::Finish() {
  if (!pieces_.empty()) RETURN_IF_ERROR(PutObject());
  return std::move(written_);
}

}  // namespace sluice
