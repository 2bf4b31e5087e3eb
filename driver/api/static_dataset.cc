#include "driver/api/static_dataset.h"

#include <algorithm>

namespace sluice::internal {

void StaticTable::Add(std::string key, std::string value) {
  values_[std::move(key)].push_back(std::move(value));
}

const std::vector<std::string>& StaticTable::Find(std::string_view key) const {
  static const std::vector<std::string> kNone;
  const auto found = values_.find(key);
  return found == values_.end() ? kNone : found->second;
}

std::shared_ptr<const StaticTable> StaticTables::Of(std::string_view version) {
  std::lock_guard lock(mutex_);  // one task loads, the others wait for it
  const auto known = std::find_if(tables_.begin(), tables_.end(),
                                  [&](const auto& table) { return table.first == version; });
  if (known != tables_.end()) return known->second;
  std::string name(version);
  std::shared_ptr<const StaticTable> loaded = load_(name);
  if (tables_.size() == kKept) tables_.erase(tables_.begin());
  tables_.emplace_back(std::move(name), loaded);
  return loaded;
}

}  // namespace sluice::internal
