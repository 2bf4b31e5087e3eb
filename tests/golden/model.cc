#include "tests/golden/model.h"

#include <algorithm>
#include <stdexcept>

#include "common/key_hash.h"
#include "common/plan/key_groups.h"

namespace sluice::golden::model {
namespace {

constexpr uint32_t kKeyGroups = 1024;

// As a shuffle's or a source's dataset.
Partitions Numbered(std::vector<Rows> rows) {
  Partitions all;
  const auto tasks = static_cast<uint32_t>(rows.size());
  for (uint32_t task = 0; task < tasks; ++task) all.push_back({task, tasks, std::move(rows[task])});
  return all;
}

Rows AllRows(const Partitions& from) {
  Rows all;
  for (const Partition& p : from) all.insert(all.end(), p.rows.begin(), p.rows.end());
  return all;
}

// What does nothing without a dataset and gives new partitions.
Step Whole(std::function<std::vector<Rows>(const Partitions&)> f) {
  return [f](Time, const From& from) -> Dataset {
    if (!from[0]->has_value()) return std::nullopt;
    return Numbered(f(**from[0]));
  };
}

// What goes by key within a partition of a shuffle.
Step ByKey(Place place, std::function<Rows(const Rows&)> f) {
  return Whole([place, f](const Partitions& from) {
    std::vector<Rows> shares = Shuffled(from, place);
    for (Rows& share : shares) share = f(share);
    return shares;
  });
}

// The place of a whole record that is a key: its text behind its length, then the number.
uint32_t PlaceOfRecord(const Pair& record, const Place& place) {
  std::string bytes(1, static_cast<char>(record.first.size()));  // below 128
  bytes += record.first;
  for (int i = 0; i < 8; ++i) {
    bytes += static_cast<char>(static_cast<uint64_t>(record.second) >> (8 * i));
  }
  return PlaceOf(bytes, place);
}

// Each record with how often it is there, in the partition of the record.
std::vector<std::vector<std::pair<Pair, int64_t>>> Counted(const Partitions& from,
                                                           const Place& place) {
  std::vector<std::vector<std::pair<Pair, int64_t>>> all(place.partitions);
  for (const Pair& record : AllRows(from)) {
    auto& counted = all[PlaceOfRecord(record, place)];
    const auto it = std::find_if(counted.begin(), counted.end(),
                                 [&](const auto& one) { return one.first == record; });
    if (it == counted.end()) counted.emplace_back(record, 1);
    else ++it->second;
  }
  return all;
}

bool IsSomeOf(const Rows& some, const Rows& all) {
  size_t found = 0;
  for (const Pair& row : all) {
    if (found < some.size() && some[found] == row) ++found;
  }
  return found == some.size();
}

}  // namespace

// ---- the model --------------------------------------------------------------------------------

size_t Model::Add(std::vector<size_t> from, Step step) {
  streams_.push_back({std::move(from), std::move(step)});
  datasets_.emplace_back();
  return streams_.size() - 1;
}

size_t Model::AddSource(uint32_t tasks) {
  const size_t number = streams_.size();
  return Add({}, [this, number, tasks](Time, const From&) -> Dataset {
    const auto given = given_.find(number);
    if (given != given_.end() && !given->second.has_value()) return std::nullopt;
    std::vector<Rows> rows(tasks);
    if (given != given_.end()) rows[0] = *given->second;
    return Numbered(std::move(rows));
  });
}

void Model::RunBatch(Time now) {
  for (size_t i = 0; i < streams_.size(); ++i) {
    From from;
    for (const size_t parent : streams_[i].from) from.push_back(&datasets_[parent]);
    datasets_[i] = streams_[i].step(now, from);
  }
  given_.clear();
}

uint32_t PlaceOf(const std::string& key, const Place& place) {
  if (place.function != nullptr) {
    return static_cast<uint32_t>(place.function(key, place.partitions));
  }
  return sluice::PartitionOf(KeyHash(key), kKeyGroups, place.partitions);
}

std::vector<Rows> Shuffled(const Partitions& from, const Place& place) {
  std::vector<Rows> shares(place.partitions);
  for (const Pair& row : AllRows(from)) shares[PlaceOf(row.first, place)].push_back(row);
  return shares;
}

Values* Find(Groups& groups, const std::string& key) {
  for (auto& [known, values] : groups) {
    if (known == key) return &values;
  }
  return nullptr;
}

Groups Grouped(const Rows& rows) {
  Groups groups;
  for (const auto& [key, value] : rows) {
    if (Values* values = Find(groups, key)) values->push_back(value);
    else groups.push_back({key, {value}});
  }
  return groups;
}

// ---- narrow -----------------------------------------------------------------------------------

Step PerRecord(std::function<Rows(const Pair&)> f) {
  return PerRecordAt([f](int64_t, const Pair& record) { return f(record); });
}

Step PerRecordAt(std::function<Rows(int64_t batch_ms, const Pair&)> f) {
  return [f](Time now, const From& from) {
    const auto of_rows = [&](const Rows& rows) {
      Rows all;
      for (const Pair& row : rows) {
        for (Pair& made : f(now.ms, row)) all.push_back(std::move(made));
      }
      return all;
    };
    return PerPartition(of_rows)(now, from);
  };
}

Step PerPartition(std::function<Rows(const Rows&)> f) {
  return [f](Time, const From& from) -> Dataset {
    Dataset all = *from[0];
    if (all.has_value()) {
      for (Partition& p : *all) p.rows = f(p.rows);
    }
    return all;
  };
}

Step Union() {
  return [](Time, const From& from) -> Dataset {
    Dataset all;
    for (const Dataset* one : from) {
      if (!one->has_value()) continue;
      if (!all.has_value()) all.emplace();
      all->insert(all->end(), (*one)->begin(), (*one)->end());
    }
    return all;
  };
}

Step Sample(std::shared_ptr<const Taken> taken) {
  return [taken](Time now, const From& from) -> Dataset {
    Dataset all = *from[0];
    if (!all.has_value()) return all;
    const std::vector<Rows>& rows = taken->at(now.ms);
    if (rows.size() != all->size()) throw std::runtime_error("a sample has other partitions");
    for (size_t p = 0; p < rows.size(); ++p) {
      if (!IsSomeOf(rows[p], (*all)[p].rows)) {
        throw std::runtime_error("a sample has what its stream has not");
      }
      (*all)[p].rows = rows[p];
    }
    return all;
  };
}

Step JoinTable(std::function<Rows(int64_t batch_ms)> table, bool outer, Match f) {
  return PerRecordAt([=](int64_t batch_ms, const Pair& record) {
    Rows rows;
    for (const auto& [key, value] : table(batch_ms)) {
      if (key == record.first) rows.emplace_back(key, f(record.second, value));
    }
    if (rows.empty() && outer) rows.emplace_back(record.first, f(record.second, std::nullopt));
    return rows;
  });
}

// ---- over the dataset -------------------------------------------------------------------------

// Record i of task t goes to partition (t + i) mod n.
Step Repartition(uint32_t n) {
  return Whole([n](const Partitions& from) {
    std::vector<Rows> to(n);
    for (const Partition& p : from) {
      for (size_t i = 0; i < p.rows.size(); ++i) to[(p.task + i) % n].push_back(p.rows[i]);
    }
    return to;
  });
}

Step Count(const std::string& key) {
  return Whole([key](const Partitions& from) -> std::vector<Rows> {
    return {{{key, static_cast<int64_t>(AllRows(from).size())}}};
  });
}

Step Reduce(std::function<Pair(const Pair&, const Pair&)> f) {
  return Whole([f](const Partitions& from) -> std::vector<Rows> {
    Rows rows = AllRows(from);
    while (rows.size() > 1) {
      rows[1] = f(rows[0], rows[1]);
      rows.erase(rows.begin());
    }
    return {rows};
  });
}

Step CountByValue(Place place, std::function<Pair(const Pair&, int64_t count)> f) {
  return Whole([place, f](const Partitions& from) {
    std::vector<Rows> all;
    for (const auto& counted : Counted(from, place)) {
      Rows& rows = all.emplace_back();
      for (const auto& [record, count] : counted) rows.push_back(f(record, count));
    }
    return all;
  });
}

Step Distinct(Place place) {
  return CountByValue(place, [](const Pair& record, int64_t) { return record; });
}

Step SortBy(Rank rank, bool descending, uint32_t partitions) {
  return Whole([=](const Partitions& from) {
    Rows rows = AllRows(from);
    std::stable_sort(rows.begin(), rows.end(), [&](const Pair& a, const Pair& b) {
      return descending ? rank(a) > rank(b) : rank(a) < rank(b);
    });
    std::vector<Rows> cut(partitions);
    for (size_t i = 0; i < rows.size(); ++i) cut[i * partitions / rows.size()].push_back(rows[i]);
    return cut;
  });
}

Step Top(size_t k, Rank rank) {
  return [sort = SortBy(std::move(rank), true, 1), k](Time now, const From& from) {
    Dataset sorted = sort(now, from);
    if (sorted.has_value()) {
      Rows& rows = sorted->front().rows;
      rows.resize(std::min(k, rows.size()));
    }
    return sorted;
  };
}

// ---- by key -----------------------------------------------------------------------------------

Step GroupByKey(ValuesFunction f, Place place) {
  return ByKey(place, [f](const Rows& rows) {
    Rows all;
    for (const auto& [key, values] : Grouped(rows)) all.emplace_back(key, f(values));
    return all;
  });
}

Step ReduceByKey(Fold f, Place place) {
  return GroupByKey(
      [f](const Values& values) {
        int64_t total = values[0];
        for (size_t i = 1; i < values.size(); ++i) total = f(total, values[i]);
        return total;
      },
      place);
}

}  // namespace sluice::golden::model
