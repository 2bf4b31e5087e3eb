// Tables on disk: all entries in insertion order, and those that are due. The base is read some
// hundred entries at a time.
#include <algorithm>
#include <tuple>

#include "common/key_hash.h"
#include "worker/executor/disk_table.h"

namespace sluice {

namespace {

uint64_t BigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char c : bytes.substr(0, 8)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

}  // namespace

// The next entries of a walk over keys, each with its value unless there is a node for it. False:
// there are no more.
bool DiskTable::ReadRows(SortedCursor& cursor, std::vector<Row>& rows) {
  rows.clear();
  std::vector<std::string> entry_keys;
  std::vector<size_t> missing;
  std::string_view number, key;
  while (rows.size() < kRowsAtOnce && cursor.Next(number, key)) {
    Row& row = rows.emplace_back();
    row.key = key;
    row.entry.number = BigEndian(number);
    if (Find(key, KeyHash(key)) != kNone) continue;
    missing.push_back(rows.size() - 1);
    entry_keys.push_back(KeyOf(kEntry, key));
  }
  MustBeOk(cursor.status());
  const std::vector<std::string_view> keys(entry_keys.begin(), entry_keys.end());
  MustBeOk(db_->GetMany(keys, [&](size_t place, std::string_view bytes) {
    if (bytes.data() == nullptr) return;
    std::string_view value;
    Row& row = rows[missing[place]];
    row.entry = DecodeEntry(bytes, value);
    row.value = value;
  }));
  return !rows.empty();
}

void DiskTable::VisitRow(const Row& row, const Visitor& visit) {
  const uint32_t index = Find(row.key, KeyHash(row.key));
  if (index == kNone) {
    row_ = &row;
    visited_ = kNone;
    visit(row.key, row.value);
    row_ = nullptr;
    return;
  }
  const Node& n = node(index);
  if (!Visible(n) || VisibleNumber(n) != row.entry.number) return;  // this life of the key is over
  visited_ = index;
  visit(n.key.view(), VisibleValue(n));
}

// What was put while absent, and has not come to be there again later.
void DiskTable::VisitBorn(uint64_t end, const Visitor& visit) {
  for (size_t i = 0; i < born_.size() && born_[i].first < end; ++i) {
    const auto [number, index] = born_[i];
    const Node& n = node(index);
    if (n.head == nullptr || n.head->removed || n.head->number != number) continue;
    visited_ = index;
    visit(n.key.view(), VisibleValue(n));
  }
}

void DiskTable::ForEach(const Visitor& visit) {
  const uint64_t end = next_number_;
  struct Ending {  // also when the visitor throws
    DiskTable& table;
    ~Ending() {
      table.row_ = nullptr;
      table.visited_ = kNone;
      table.visiting_ = false;
    }
  } ending{*this};
  visiting_ = true;
  if (base_entries_ > 0) {
    const auto cursor = db_->Walk(KeyOf(kOrder), {});
    std::vector<Row> rows;
    while (ReadRows(*cursor, rows)) {
      for (const Row& row : rows) VisitRow(row, visit);
    }
  }
  VisitBorn(end, visit);
}

struct DiskTable::Due {
  int64_t timer_ms = 0;
  uint64_t number = 0;
  std::string key;
  bool operator<(const Due& other) const {
    return std::tie(timer_ms, number) < std::tie(other.timer_ms, other.number);
  }
};

// What is due in the base, unless a layer has changed it, and what is due by a layer.
void DiskTable::CollectDue(int64_t before_ms, std::vector<Due>& due) {
  if (base_entries_ > 0 && due_from_ms_ < before_ms) {
    const std::string prefix = KeyOf(kDue);
    const auto cursor = db_->Walk(prefix, DueKey(due_from_ms_, 0).substr(prefix.size()));
    std::string_view when, key;
    bool first = true;
    while (cursor->Next(when, key)) {
      const auto timer_ms = static_cast<int64_t>(BigEndian(when) ^ uint64_t{1} << 63);
      if (std::exchange(first, false)) due_from_ms_ = timer_ms;  // spares what was taken out before
      if (timer_ms >= before_ms) break;
      const uint32_t index = Find(key, KeyHash(key));
      if (index != kNone && node(index).head != nullptr) continue;
      due.push_back({timer_ms, BigEndian(when.substr(8)), std::string(key)});
    }
    MustBeOk(cursor->status());
    if (first) due_from_ms_ = INT64_MAX;
  }
  const auto add = [&](const Layer& layer) {
    for (uint32_t i = 0; i < layer.count; ++i) {
      const Version& version = layer.record(i);
      if (version.owner == kNone || version.removed) continue;
      const Node& n = node(version.owner);
      if (n.head != &version || version.timer_ms == 0 || version.timer_ms >= before_ms) continue;
      due.push_back({version.timer_ms, version.number, std::string(n.key.view())});
    }
  };
  for (const Layer& layer : layers_) add(layer);
  if (attempt_open()) add(attempt_);
  std::sort(due.begin(), due.end());
}

void DiskTable::ForEachDue(int64_t before_ms, const Visitor& visit) {
  std::vector<Due> due;
  CollectDue(before_ms, due);
  std::vector<std::string_view> keys;
  for (size_t i = 0; i < due.size(); ++i) {
    if (i % kRowsAtOnce == 0) {
      keys.clear();
      for (size_t k = i; k < std::min(due.size(), i + kRowsAtOnce); ++k) keys.push_back(due[k].key);
      Fetch(keys);
    }
    const Node& n = node(NodeOf(due[i].key, KeyHash(due[i].key)));
    const int64_t timer_ms = VisibleTimer(n);  // the visitor may have changed it
    if (timer_ms == 0 || timer_ms >= before_ms || VisibleNumber(n) != due[i].number) continue;
    visit(n.key.view(), VisibleValue(n));
  }
}

}  // namespace sluice
