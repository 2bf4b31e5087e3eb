// Of the model: windows and slices.
#include <algorithm>

#include "tests/golden/model.h"

namespace sluice::golden::model {
namespace {

using Held = std::map<int64_t, Partitions>;  // datasets by their tick

// Keeps datasets together: task t of n goes to partition t * partitions / n.
Step Together(uint32_t partitions) {
  return [partitions](Time, const From& from) -> Dataset {
    Partitions all;
    for (uint32_t p = 0; p < partitions; ++p) all.push_back({p, partitions});
    for (const Partition& one : **from[0]) {
      Rows& to = all[uint64_t{one.task} * partitions / one.tasks].rows;
      to.insert(to.end(), one.rows.begin(), one.rows.end());
    }
    return all;
  };
}

// The datasets from one tick to another, both included, oldest first.
Dataset Between(const Held& held, int64_t from, int64_t to) {
  Dataset all = Partitions();
  for (const auto& [tick, dataset] : held) {
    if (tick >= from && tick <= to) all->insert(all->end(), dataset.begin(), dataset.end());
  }
  return all;
}

}  // namespace

// The window at a tick covers those behind (tick - length), up to it; what was before the start or
// had no dataset is absent.
Step OverWindow(WindowShape shape, Step step) {
  return [shape, step, held = Held()](Time now, const From& from) mutable -> Dataset {
    if (from[0]->has_value()) held[now.tick] = **from[0];
    if (now.tick % shape.slide != 0) return std::nullopt;
    const Dataset all = Between(held, now.tick - shape.length + 1, now.tick);
    return step(now, {&all});
  };
}

Step Window(WindowShape shape, uint32_t partitions) {
  return OverWindow(shape, Together(partitions));
}

Step CountByWindow(WindowShape shape, const std::string& key) {
  const Step count = [count = Count(key), began = false](Time now, const From& from) mutable {
    Dataset counted = count(now, from);
    Rows& rows = counted->front().rows;
    began |= rows.front().second != 0;
    if (!began) rows.clear();
    return counted;
  };
  return OverWindow(shape, count);
}

Step FilteredWindow(WindowShape shape, Fold f, Filter keeps, Place place) {
  std::map<std::string, int64_t> dropped;  // when a key last was
  return [=, held = Held()](Time now, const From& from) mutable -> Dataset {
    if (from[0]->has_value()) held[now.tick] = **from[0];
    if (now.tick % shape.slide != 0) return std::nullopt;
    Dataset all = Partitions();
    for (const auto& [tick, dataset] : held) {
      if (tick <= now.tick - shape.length) continue;
      for (Partition p : dataset) {
        std::erase_if(p.rows, [&](const Pair& row) {
          return dropped.contains(row.first) && tick <= dropped[row.first];
        });
        all->push_back(p);
      }
    }
    Dataset folded = ReduceByKey(f, place)(now, {&all});
    for (Partition& p : *folded) {
      std::erase_if(p.rows, [&](const Pair& row) {
        const bool drops = !keeps(row.first, row.second);
        if (drops) dropped[row.first] = now.tick;
        return drops;
      });
    }
    return folded;
  };
}

Step Slice(std::function<SliceEnds(Time now)> ends, int64_t slide, uint32_t partitions) {
  return [=, together = Together(partitions), held = Held()](Time now,
                                                             const From& from) mutable -> Dataset {
    if (from[0]->has_value()) held[now.tick] = **from[0];
    if (now.tick % slide != 0) return std::nullopt;
    const auto floored = [&](int64_t tick) { return std::max<int64_t>(tick, 0) / slide * slide; };
    const SliceEnds asked = ends(now);
    const Dataset all = Between(held, floored(asked.from), floored(asked.to));
    return together(now, {&all});
  };
}

}  // namespace sluice::golden::model
