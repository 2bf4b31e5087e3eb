#include "driver/api/static_dataset.h"

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <stdexcept>

namespace sluice::internal {
namespace {

constexpr size_t kVersionsKept = 3;

}  // namespace

struct StaticTables::State {
  const Load load;
  std::mutex mutex;
  std::vector<std::pair<std::string, std::shared_ptr<const StaticTable>>> tables{};  // newest last
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

StaticTables::StaticTables(Load load) : state_(new State{std::move(load), {}}) {}
StaticTables::~StaticTables() = default;

std::shared_ptr<const StaticTable> StaticTables::Of(std::string_view version) {
  std::lock_guard lock(state_->mutex);  // one task loads, the others wait for it
  auto& tables = state_->tables;
  const auto known = std::find_if(tables.begin(), tables.end(),
                                  [&](const auto& table) { return table.first == version; });
  if (known != tables.end()) return known->second;
  std::string name(version);
  std::shared_ptr<const StaticTable> loaded = state_->load(name);
  if (tables.size() == kVersionsKept) tables.erase(tables.begin());
  tables.emplace_back(std::move(name), loaded);
  return loaded;
}

}  // namespace sluice::internal
