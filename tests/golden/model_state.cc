// Of the model: what holds something between batches.
#include <algorithm>

#include "tests/golden/model.h"

namespace sluice::golden::model {
namespace {

using Held = std::map<int64_t, Partitions>;  // datasets by their tick

bool Slides(Time now, int64_t slide) { return now.tick % slide == 0; }

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

}  // namespace

// ---- windows ----------------------------------------------------------------------------------

// The window at a tick covers those behind (tick - length), up to it; what was before the start or
// had no dataset is absent.
Step OverWindow(WindowShape shape, Step step) {
  return [shape, step, held = Held()](Time now, const From& from) mutable -> Dataset {
    if (from[0]->has_value()) held[now.tick] = **from[0];
    if (!Slides(now, shape.slide)) return std::nullopt;
    Dataset all = Partitions();
    for (const auto& [tick, dataset] : held) {
      if (tick <= now.tick - shape.length) continue;
      all->insert(all->end(), dataset.begin(), dataset.end());
    }
    return step(now, {&all});
  };
}

Step Window(WindowShape shape, uint32_t partitions) {
  return OverWindow(shape, Together(partitions));
}

// ---- UpdateStateByKey -------------------------------------------------------------------------

namespace {

// One partition. Keys with state first, in the order in which they got it, then new ones; where
// idle keys are skipped, those that have values, in the order of these.
Rows UpdateKeys(const Update& f, bool skip_idle, Groups values, Rows& states) {
  std::vector<std::string> keys;
  if (!skip_idle) {
    for (const Pair& state : states) keys.push_back(state.first);
  }
  for (const auto& [key, all] : values) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  }
  Rows given;
  for (const std::string& key : keys) {
    const auto state = std::find_if(states.begin(), states.end(),
                                    [&](const Pair& one) { return one.first == key; });
    const bool known = state != states.end();
    const Values* of_key = Find(values, key);
    const std::optional<int64_t> after = f(of_key != nullptr ? *of_key : Values(),
                                           known ? std::optional(state->second) : std::nullopt);
    if (after.has_value()) given.emplace_back(key, *after);
    if (after.has_value() && known) state->second = *after;
    else if (after.has_value()) states.emplace_back(key, *after);
    else if (known) states.erase(state);
  }
  return given;
}

}  // namespace

Step UpdateStateByKey(Update f, UpdateOptions options, Place place) {
  std::vector<Rows> none(place.partitions);
  return [=, states = std::move(none)](Time now, const From& from) mutable -> Dataset {
    if (!Slides(now, options.slide)) return std::nullopt;
    const std::vector<Rows> shares = Shuffled(from[0]->value_or(Partitions()), place);
    Partitions all;
    for (uint32_t p = 0; p < place.partitions; ++p) {
      all.push_back({p, place.partitions,
                     UpdateKeys(f, options.skip_idle, Grouped(shares[p]), states[p])});
    }
    return all;
  };
}

// ---- MapWithState -----------------------------------------------------------------------------

namespace {

// A record. A key that loses its state keeps its place as long as the batch runs.
std::optional<Pair> TrackRecord(const Track& f, const Pair& record, int64_t now_ms,
                                std::vector<TrackedKey>& keys) {
  const auto known = std::find_if(keys.begin(), keys.end(),
                                  [&](const TrackedKey& one) { return one.key == record.first; });
  if (known != keys.end()) {
    known->touched_ms = now_ms;
    return f(record.first, record.second, known->state);
  }
  TrackedKey made{record.first, std::nullopt, now_ms};
  const std::optional<Pair> given = f(record.first, record.second, made.state);
  if (made.state.has_value()) keys.push_back(made);
  return given;
}

void Forget(std::vector<TrackedKey>& keys) {
  std::erase_if(keys, [](const TrackedKey& one) { return !one.state.has_value(); });
}

// Keys that no record has touched for longer than `idle_ms`, in the order of their last touch.
void TimeOut(const Track& f, int64_t idle_ms, int64_t now_ms, std::vector<TrackedKey>& keys,
             Rows& given) {
  std::vector<TrackedKey*> idle;
  for (TrackedKey& one : keys) {
    if (one.touched_ms + idle_ms < now_ms) idle.push_back(&one);
  }
  std::stable_sort(idle.begin(), idle.end(), [](const TrackedKey* a, const TrackedKey* b) {
    return a->touched_ms < b->touched_ms;
  });
  for (TrackedKey* one : idle) {
    if (const auto last = f(one->key, std::nullopt, one->state)) given.push_back(*last);
    one->state.reset();
  }
  Forget(keys);
}

}  // namespace

Step MapWithState(std::shared_ptr<TrackedKeys> held, Track f, TrackOptions options, Place place) {
  return [=](Time now, const From& from) -> Dataset {
    if (!Slides(now, options.slide)) return std::nullopt;
    if (held->empty()) {
      held->resize(place.partitions);
      for (const auto& [key, state] : options.initial) {
        (*held)[PlaceOf(key, place)].push_back({key, state, now.ms});
      }
    }
    const std::vector<Rows> shares = Shuffled(from[0]->value_or(Partitions()), place);
    Partitions all;
    for (uint32_t p = 0; p < place.partitions; ++p) {
      Rows given;
      std::vector<TrackedKey>& keys = (*held)[p];
      for (const Pair& record : shares[p]) {
        if (const auto row = TrackRecord(f, record, now.ms, keys)) given.push_back(*row);
      }
      Forget(keys);
      if (options.idle_ms != 0) TimeOut(f, options.idle_ms, now.ms, keys, given);
      all.push_back({p, place.partitions, given});
    }
    return all;
  };
}

Step StateSnapshots(std::shared_ptr<const TrackedKeys> held) {
  return [held](Time, const From& from) -> Dataset {
    Dataset all = *from[0];
    if (!all.has_value()) return all;
    for (Partition& p : *all) {
      p.rows.clear();
      for (const TrackedKey& one : (*held)[p.task]) p.rows.emplace_back(one.key, *one.state);
    }
    return all;
  };
}

}  // namespace sluice::golden::model
