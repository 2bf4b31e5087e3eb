// Of random programs: what goes by key, and state.
#include <stdexcept>

#include "tests/golden/random_program.h"

namespace sluice::golden {
namespace {

// A key ends with a "!" behind it.
std::optional<Pair> TrackInEngine(const std::string& key, std::optional<int64_t> value,
                                  State<int64_t>& state) {
  if (!value.has_value()) return Pair{key + "!", state.Get()};
  const Tracking tracking = Track(*value, state.GetOption());
  if (tracking.what == Tracking::kRemove) state.Remove();
  if (tracking.what == Tracking::kUpdate) state.Update(tracking.state);
  if (!state.Exists()) return std::nullopt;
  return Pair{key, state.Get()};
}
std::optional<Pair> TrackInModel(const std::string& key, std::optional<int64_t> value,
                                 std::optional<int64_t>& state) {
  if (!value.has_value()) return Pair{key + "!", *state};
  const Tracking tracking = Track(*value, state);
  if (tracking.what == Tracking::kRemove) state.reset();
  if (tracking.what == Tracking::kUpdate) state = tracking.state;
  if (!state.has_value()) return std::nullopt;
  return Pair{key, *state};
}

std::optional<int64_t> RememberInEngine(BatchTime time, const std::string& key,
                                        std::span<const int64_t> values,
                                        std::optional<int64_t> state) {
  return RememberAt(time.ms(), key, values, state);
}

// A side that may lack is an optional. Not inlined: GCC 12 then warns of what an empty one holds.
std::optional<int64_t> Side(int64_t value) { return value; }
[[gnu::noinline]] std::optional<int64_t> Side(const std::optional<int64_t>& value) {
  return value;
}
const auto kWeighed = [](const auto& match) {
  return Weighed(Side(match.first), Side(match.second));
};

using Values = std::vector<int64_t>;
Values One(int64_t value) { return {value}; }
Values And(const Values& values, int64_t value) {
  Values all = values;
  all.push_back(value);
  return all;
}
Values Both(const Values& a, const Values& b) {
  Values all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}
Values NotCalled(const Values&, const Values&) { throw std::logic_error("called"); }

const auto kDigested = [](const auto& values) { return Digest(values); };

}  // namespace

RandomProgram::Placing RandomProgram::AnyPlacing() {
  Placing placing{{.partitions = AnyPartitions()}, {}, ""};
  placing.place = PlaceOf(placing.options.partitions);
  placing.text = std::to_string(placing.options.partitions) + " partitions";
  if (Below(4) != 0) return placing;
  placing.options.partitioner = PartitionBy<std::string>(PlaceBySize);
  placing.place.function = PlaceBySize;
  placing.text += " by size";
  return placing;
}

void RandomProgram::AddByKey(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  const Placing to = AnyPlacing();
  const uint32_t partitions = to.options.partitions;
  const std::string in = ", " + to.text + ")";
  switch (kind) {
    case 0:
      return Add(from, "ReduceByKey(Last" + in, s.ReduceByKey(kLast, to.options),
                 model::ReduceByKey(kLast, to.place));
    case 1:
      return Add(from, "GroupByKey(Digest" + in, s.GroupByKey(to.options).MapValues(kDigested),
                 model::GroupByKey(Digest, to.place));
    case 2: {
      const bool map_side = Below(2) == 0;
      const std::string what = map_side ? "CombineByKey(Digest" : "CombineByKey(Digest, reducers";
      return Add(from, what + in,
                 s.CombineByKey(One, And, map_side ? Both : NotCalled,
                                {.partitions = partitions,
                                 .map_side = map_side,
                                 .partitioner = to.options.partitioner})
                     .MapValues(kDigested),
                 model::GroupByKey(Digest, to.place));
    }
    default:
      return Add(from, "CountByValue(" + std::to_string(partitions) + " partitions)",
                 s.CountByValue({.partitions = partitions}).Map([](const auto& counted) {
                   const auto& [record, n] = counted;
                   return WithCount({std::string(record.first), record.second}, n);
                 }),
                 model::CountByValue(PlaceOf(partitions), WithCount));
  }
}

// Often both streams of the operator go on.
void RandomProgram::AddMapWithState(size_t from) {
  const int slide = streams_[from].slide;
  const int idle = slide * static_cast<int>(Below(4));  // 0: for ever
  const Placing to = AnyPlacing();
  const std::string what = "MapWithState(" + std::to_string(idle) + " idle, " + to.text + ")";
  const auto tracked = streams_[from].pairs.MapWithState(NewName("state-"), TrackInEngine,
                                                         {.idle_timeout = Batches(idle),
                                                          .partitions = to.options.partitions,
                                                          .initial_state = InitialStates(),
                                                          .partitioner = to.options.partitioner});
  const auto held = std::make_shared<model::TrackedKeys>();
  const size_t mapped = Modelled(
      from, model::MapWithState(held, TrackInModel,
                                {Batches(idle).count(), slide, InitialStates()}, to.place));
  if (Below(2) == 0) {
    AddModelled(from, what + ", snapshots", tracked.StateSnapshots(),
                model_.Add({mapped}, model::StateSnapshots(held)));
  }
  AddModelled(from, what, tracked, mapped);
}

void RandomProgram::AddState(size_t from, uint32_t kind) {
  const bool timed = kind / 2 == 0, skips = kind % 2 == 0;
  const Placing to = AnyPlacing();
  const Pairs initial = Below(2) == 0 ? InitialStates() : Pairs();
  const StateOptions<std::string, int64_t> options{
      .idle_keys = skips ? IdleKeys::kSkip : IdleKeys::kCall,
      .partitions = to.options.partitions,
      .initial_state = initial,
      .partitioner = to.options.partitioner};
  const auto add = [&](const DStream<Pair>& made, model::Update f) {
    Add(from,
        std::string("UpdateStateByKey(") + (timed ? "with batch time, " : "") +
            (skips ? "kSkip, " : "") + (initial.empty() ? "" : "initial state, ") + to.text + ")",
        made, model::UpdateStateByKey(std::move(f), {skips, streams_[from].slide, initial},
                                      to.place));
  };
  const DStream<Pair> s = streams_[from].pairs;
  const std::string name = NewName("state-");
  if (!timed) {
    return add(s.UpdateStateByKey(name, Remember, options),
               [](int64_t, const std::string&, const model::Values& values,
                  std::optional<int64_t> state) { return Remember(values, state); });
  }
  add(s.UpdateStateByKey(name, RememberInEngine, options), RememberAt);
}

// One side has one value per key, so that rows do not multiply.
void RandomProgram::AddJoin(size_t left, uint32_t kind) {
  const size_t right = Pick();
  if (streams_[right].slide != streams_[left].slide) return AddNarrow(left, 1);
  streams_[right].used = true;
  const DStream<Pair> l = streams_[left].pairs, r = streams_[right].pairs;
  const auto [options, place, text] = AnyPlacing();
  const auto add = [&](const std::string& what, DStream<Pair> made, model::Step step) {
    const model::Step last = model::ReduceByKey(kLast, PlaceOf(0));
    const bool reduce_left = kind == 0 || kind == 2, reduce_right = kind == 1 || kind == 3;
    const size_t of_left = reduce_left ? Modelled(left, last) : streams_[left].number;
    const size_t of_right = reduce_right ? Modelled(right, last) : streams_[right].number;
    AddModelled(left, what + "(s" + std::to_string(right) + ", " + text + ")", std::move(made),
                model_.Add({of_left, of_right}, std::move(step)));
  };
  switch (kind) {
    case 0:
      return add("Join", l.ReduceByKey(kLast).Join(r, options).MapValues(kWeighed),
                 model::Join({}, Weighed, place));
    case 1:
      return add("LeftOuterJoin",
                 l.LeftOuterJoin(r.ReduceByKey(kLast), options).MapValues(kWeighed),
                 model::Join({.left = true}, Weighed, place));
    case 2:
      return add("RightOuterJoin",
                 l.ReduceByKey(kLast).RightOuterJoin(r, options).MapValues(kWeighed),
                 model::Join({.right = true}, Weighed, place));
    case 3:
      return add("FullOuterJoin",
                 l.FullOuterJoin(r.ReduceByKey(kLast), options).MapValues(kWeighed),
                 model::Join({.left = true, .right = true}, Weighed, place));
    default:
      return add("CoGroup", l.CoGroup(r, options).MapValues([](const auto& sides) {
        return DigestOfSides(sides.first, sides.second);
      }), model::CoGroup(DigestOfSides, place));
  }
}

}  // namespace sluice::golden
