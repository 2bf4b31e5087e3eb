#include "driver/api/static_dataset.h"

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <stdexcept>

namespace sluice::internal {
namespace {

constexpr size_t kVersionsKept = 3;

}  // namespace

class StaticTables {
 public:
  explicit StaticTables(LoadTable load) : load_(std::move(load)) {}
  std::shared_ptr<const StaticTable> Of(std::string_view version);

 private:
  const LoadTable load_;
  std::mutex mutex_;
  std::vector<std::pair<std::string, std::shared_ptr<const StaticTable>>> tables_;  // newest last
};

void StaticTable::Add(std::string_view key, std::string_view value) {
  if (values_.size() + sizeof(Head) + value.size() >= kNone) {
    throw std::length_error("a static dataset with more than 4 GiB of values");
  }
  const auto at = static_cast<uint32_t>(values_.size());
  const Head head{kNone, static_cast<uint32_t>(value.size())};
  values_.append(reinterpret_cast<const char*>(&head), sizeof head).append(value);
  bool added;
  Places& places = keys_.FindOrAdd(key, added).value;
  if (added) places.first = at;
  else std::memcpy(values_.data() + places.last + offsetof(Head, next), &at, sizeof at);
  places.last = at;
}

std::shared_ptr<const StaticTable> StaticTables::Of(std::string_view version) {
  std::lock_guard lock(mutex_);  // one task loads, the others wait for it
  const auto known = std::find_if(tables_.begin(), tables_.end(),
                                  [&](const auto& table) { return table.first == version; });
  if (known != tables_.end()) return known->second;
  std::string name(version);
  const auto loaded = std::make_shared<StaticTable>();
  load_(name, *loaded);
  if (tables_.size() == kVersionsKept) tables_.erase(tables_.begin());
  tables_.emplace_back(std::move(name), loaded);
  return loaded;
}

std::shared_ptr<StaticTables> MakeStaticTables(LoadTable load) {
  return std::make_shared<StaticTables>(std::move(load));
}

std::shared_ptr<const StaticTable> TableOf(StaticTables& tables, std::string_view version) {
  return tables.Of(version);
}

}  // namespace sluice::internal
