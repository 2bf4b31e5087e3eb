#include "driver/api/static_dataset.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "common/key_hash.h"

namespace sluice::internal {
namespace {

struct Hash {
  using is_transparent = void;
  size_t operator()(std::string_view key) const { return KeyHash(key); }
};
struct Equal {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return a == b; }
};

constexpr size_t kVersionsKept = 3;

}  // namespace

struct StaticTable::Values {
  std::unordered_map<std::string, std::vector<std::string>, Hash, Equal> of_key;
};

struct StaticTables::State {
  const Load load;
  std::mutex mutex;
  std::vector<std::pair<std::string, std::shared_ptr<const StaticTable>>> tables{};  // newest last
};

StaticTable::StaticTable() : values_(std::make_unique<Values>()) {}
StaticTable::~StaticTable() = default;

void StaticTable::Add(std::string key, std::string value) {
  values_->of_key[std::move(key)].push_back(std::move(value));
}

const std::vector<std::string>& StaticTable::Find(std::string_view key) const {
  static const std::vector<std::string> kNone;
  const auto found = values_->of_key.find(key);
  return found == values_->of_key.end() ? kNone : found->second;
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
