// Of the model: what has two sides.
#include "tests/golden/model.h"

namespace sluice::golden::model {
namespace {

// The rows of one partition from those of the two sides; a side without a dataset is empty. No
// dataset where neither has one.
Step Matched(Place place, std::function<Rows(Groups& left, Groups& right)> f) {
  return [place, f](Time, const From& from) -> Dataset {
    if (!from[0]->has_value() && !from[1]->has_value()) return std::nullopt;
    const std::vector<Rows> left = Shuffled(from[0]->value_or(Partitions()), place);
    const std::vector<Rows> right = Shuffled(from[1]->value_or(Partitions()), place);
    Partitions all;
    for (uint32_t p = 0; p < place.partitions; ++p) {
      Groups of_left = Grouped(left[p]), of_right = Grouped(right[p]);
      all.push_back({p, place.partitions, f(of_left, of_right)});
    }
    return all;
  };
}

}  // namespace

// Keys of the left side first, then those that only the right one has.
Step CoGroup(std::function<int64_t(const Values&, const Values&)> f, Place place) {
  return Matched(place, [f](Groups& left, Groups& right) {
    Rows rows;
    for (const auto& [key, values] : left) {
      const Values* match = Find(right, key);
      rows.emplace_back(key, f(values, match != nullptr ? *match : Values()));
    }
    for (const auto& [key, values] : right) {
      if (Find(left, key) == nullptr) rows.emplace_back(key, f({}, values));
    }
    return rows;
  });
}

// In the same order; within a key the left values in order, and for each the right ones.
Step Join(Sides kept, Match f, Place place) {
  return Matched(place, [kept, f](Groups& left, Groups& right) {
    Rows rows;
    for (const auto& [key, values] : left) {
      const Values* matches = Find(right, key);
      for (const int64_t value : values) {
        if (matches != nullptr) {
          for (const int64_t match : *matches) rows.emplace_back(key, f(value, match));
        } else if (kept.left) {
          rows.emplace_back(key, f(value, std::nullopt));
        }
      }
    }
    for (const auto& [key, values] : right) {
      if (!kept.right || Find(left, key) != nullptr) continue;
      for (const int64_t value : values) rows.emplace_back(key, f(std::nullopt, value));
    }
    return rows;
  });
}

}  // namespace sluice::golden::model
