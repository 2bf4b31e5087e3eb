// State tables: due times. A slot waits in the file of one time, and is looked at when that time
// has passed: if its due time was moved meanwhile it goes on to a later file. So putting an entry
// off costs nothing until then, and each slot is looked at once per idle period, however often it
// was put off.
#include <algorithm>
#include <tuple>

#include "worker/executor/state_table.h"

namespace sluice {

// The earliest due time that may come to be visible, also by dropping layers; 0: none.
int64_t StateTable::EarliestTimer(const Slot& s) const {
  int64_t earliest = VisibleTimer(s);
  for (Link link = s.newest; !Merged(link);) {
    const Undo& undo = At(link);
    if (undo.was_live && undo.timer_ms != 0 && (earliest == 0 || undo.timer_ms < earliest)) {
      earliest = undo.timer_ms;
    }
    link = undo.older;
  }
  return earliest;
}

void StateTable::File(uint32_t index, int64_t timer_ms) {
  Slot& s = slot(index);
  if (timer_ms == 0 || (s.filed_ms != 0 && s.filed_ms <= timer_ms)) return;
  s.filed_ms = timer_ms;
  files_[timer_ms].push_back(index);
}

// Empties the files of times before that; each slot that was in one is given once, unfiled.
std::vector<uint32_t> StateTable::TakeFilesBefore(int64_t before_ms) {
  std::vector<uint32_t> taken;
  while (!files_.empty() && files_.begin()->first < before_ms) {
    const auto file = files_.extract(files_.begin());
    for (const uint32_t index : file.mapped()) {
      if (index >= slot_count_ || slot(index).filed_ms != file.key()) continue;
      slot(index).filed_ms = 0;
      taken.push_back(index);
    }
  }
  return taken;
}

void StateTable::ForEachDue(int64_t before_ms, const Visitor& visit) {
  std::vector<std::tuple<int64_t, uint64_t, uint32_t>> due;  // due time, number, slot
  for (const uint32_t index : TakeFilesBefore(before_ms)) {
    const Slot& s = slot(index);
    const int64_t timer_ms = VisibleTimer(s);
    if (timer_ms != 0 && timer_ms < before_ms) due.emplace_back(timer_ms, s.number, index);
    File(index, EarliestTimer(s));
  }
  std::sort(due.begin(), due.end());
  for (const auto& [due_ms, number, index] : due) {
    const Slot& s = slot(index);
    const int64_t timer_ms = VisibleTimer(s);
    if (timer_ms == 0 || timer_ms >= before_ms) continue;  // the visitor changed it
    visit(s.key.view(), s.value.view());
  }
}

// After slots have moved: `place` has the new index of each old one.
void StateTable::RenameFiled(const std::vector<uint32_t>& place) {
  for (auto& [time_ms, file] : files_) {
    std::erase_if(file, [&, filed_ms = time_ms](uint32_t index) {
      return index >= place.size() || place[index] == kNone ||
             slot(place[index]).filed_ms != filed_ms;
    });
    for (uint32_t& index : file) index = place[index];
  }
  std::erase_if(files_, [](const auto& file) { return file.second.empty(); });
}

}  // namespace sluice
