// Of the model: state by key.
#include <algorithm>

#include "tests/golden/model.h"

namespace sluice::golden::model {
namespace {

bool Slides(Time now, int64_t slide) { return now.tick % slide == 0; }

// By partition; of two entries of one key the later, in the place of the first.
std::vector<Rows> Initially(const Rows& entries, const Place& place) {
  std::vector<Rows> all(place.partitions);
  for (const auto& [key, state] : entries) {
    Rows& of_partition = all[PlaceOf(key, place)];
    const auto known = std::find_if(of_partition.begin(), of_partition.end(),
                                    [&](const Pair& one) { return one.first == key; });
    if (known != of_partition.end()) known->second = state;
    else of_partition.emplace_back(key, state);
  }
  return all;
}

}  // namespace

// ---- UpdateStateByKey -------------------------------------------------------------------------

namespace {

// One partition. Keys with state first, in the order in which they got it, then new ones; where
// idle keys are skipped, those that have values, in the order of these.
Rows UpdateKeys(const Update& f, int64_t now_ms, bool skip_idle, Groups values,
                Rows& states) {
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
    const std::optional<int64_t> after =
        f(now_ms, key, of_key != nullptr ? *of_key : Values(),
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
  std::vector<Rows> initial = Initially(options.initial, place);
  return [=, states = std::move(initial)](Time now, const From& from) mutable -> Dataset {
    if (!Slides(now, options.slide)) return std::nullopt;
    const std::vector<Rows> shares = Shuffled(from[0]->value_or(Partitions()), place);
    Partitions all;
    for (uint32_t p = 0; p < place.partitions; ++p) {
      all.push_back({p, place.partitions,
                     UpdateKeys(f, now.ms, options.skip_idle, Grouped(shares[p]), states[p])});
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
      for (const Rows& states : Initially(options.initial, place)) {
        std::vector<TrackedKey>& keys = held->emplace_back();
        for (const auto& [key, state] : states) keys.push_back({key, state, now.ms});
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
