// Of random programs: what goes by key, windows and state.
#include "tests/golden/random_program.h"

namespace sluice::golden {
namespace {

constexpr int kSlideMax = 6;

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

// A side that may lack is an optional. Not inlined: GCC 12 then warns of what an empty one holds.
std::optional<int64_t> Side(int64_t value) { return value; }
[[gnu::noinline]] std::optional<int64_t> Side(const std::optional<int64_t>& value) {
  return value;
}
const auto kWeighed = [](const auto& match) {
  return Weighed(Side(match.first), Side(match.second));
};

std::string In(uint32_t partitions) { return ", " + std::to_string(partitions) + " partitions)"; }

}  // namespace

void RandomProgram::AddByKey(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  const uint32_t partitions = AnyPartitions();
  const model::Place place = PlaceOf(partitions);
  switch (kind) {
    case 0:
      return Add(from, "ReduceByKey(Last" + In(partitions),
                 s.ReduceByKey(kLast, {.partitions = partitions}),
                 model::ReduceByKey(kLast, place));
    case 1:
      return Add(from, "GroupByKey(Digest" + In(partitions),
                 s.GroupByKey({.partitions = partitions}).MapValues([](const auto& values) {
                   return Digest(values);
                 }),
                 model::GroupByKey(Digest, place));
    default:
      return Add(from, "CountByValue(" + In(partitions),
                 s.CountByValue({.partitions = partitions}).Map([](const auto& counted) {
                   const auto& [record, n] = counted;
                   return WithCount({std::string(record.first), record.second}, n);
                 }),
                 model::CountByValue(place, WithCount));
  }
}

void RandomProgram::AddWindow(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  const int own = streams_[from].slide;
  int slide = own * static_cast<int>(1 + Below(3));
  if (slide > kSlideMax) slide = own;
  const int length = own * static_cast<int>(1 + Below(4));
  const WindowOptions window{
      .length = Batches(length), .slide = Batches(slide), .partitions = AnyPartitions()};
  const model::Place place = PlaceOf(window.partitions);
  const model::WindowShape shape{length, slide};
  const std::string in = "(" + std::to_string(length) + ", " + std::to_string(slide) + ")";
  // Keys of a windowed fold come in no promised order.
  const auto add = [&](const char* what, const auto& made, const model::Fold& fold) {
    const size_t folded =
        Modelled(from, model::OverWindow(shape, model::ReduceByKey(fold, place)));
    AddModelled(from, "ReduceByKeyAndWindow " + std::string(what) + in + ".InOrder",
                made.MapPartitions(InOrder), model_.Add({folded}, model::PerPartition(InOrder)),
                slide);
  };
  switch (kind) {
    case 0:
      return Add(from, "Window" + in, s.Window(window),
                 model::Window(shape, place.partitions), slide);
    case 1:
      return add("Last ", s.ReduceByKeyAndWindow(kLast, window), kLast);
    case 2:
      return add("Sum ", s.ReduceByKeyAndWindow(kSum, window), kSum);
    default:
      return add("Sum Difference ", s.ReduceByKeyAndWindow(kSum, kDifference, window), kSum);
  }
}

// Often both streams of the operator go on.
void RandomProgram::AddMapWithState(size_t from) {
  const int slide = streams_[from].slide;
  const int idle = slide * static_cast<int>(Below(4));  // 0: for ever
  const std::string name = "state-" + std::to_string(streams_.size());
  const std::string what = "MapWithState, " + std::to_string(idle) + " idle";
  const Pairs initial = {{"a", 7}, {std::string(9, 'b'), 8}};
  const uint32_t partitions = AnyPartitions();
  const auto tracked = streams_[from].pairs.MapWithState(
      name, TrackInEngine,
      {.idle_timeout = Batches(idle), .partitions = partitions, .initial_state = initial});
  const auto held = std::make_shared<model::TrackedKeys>();
  const size_t mapped = Modelled(
      from, model::MapWithState(held, TrackInModel, {Batches(idle).count(), slide, initial},
                                PlaceOf(partitions)));
  if (Below(2) == 0) {
    AddModelled(from, what + ", snapshots", tracked.StateSnapshots(),
                model_.Add({mapped}, model::StateSnapshots(held)));
  }
  AddModelled(from, what, tracked, mapped);
}

void RandomProgram::AddState(size_t from, uint32_t kind) {
  const IdleKeys idle = kind == 0 ? IdleKeys::kCall : IdleKeys::kSkip;
  const std::string name = "state-" + std::to_string(streams_.size());
  const uint32_t partitions = AnyPartitions();
  Add(from, kind == 0 ? "UpdateStateByKey" : "UpdateStateByKey kSkip",
      streams_[from].pairs.UpdateStateByKey(name, Remember,
                                            {.idle_keys = idle, .partitions = partitions}),
      model::UpdateStateByKey(Remember,
                              {.skip_idle = kind != 0, .slide = streams_[from].slide},
                              PlaceOf(partitions)));
}

// One side has one value per key, so that rows do not multiply.
void RandomProgram::AddJoin(size_t left, uint32_t kind) {
  const size_t right = Pick();
  if (streams_[right].slide != streams_[left].slide) return AddNarrow(left, 1);
  streams_[right].used = true;
  const DStream<Pair> l = streams_[left].pairs, r = streams_[right].pairs;
  const ShuffleOptions options{.partitions = AnyPartitions()};
  const auto add = [&](const std::string& what, DStream<Pair> made, model::Step step) {
    const model::Step last = model::ReduceByKey(kLast, PlaceOf(0));
    const bool reduce_left = kind == 0 || kind == 2, reduce_right = kind == 1 || kind == 3;
    const size_t of_left = reduce_left ? Modelled(left, last) : streams_[left].number;
    const size_t of_right = reduce_right ? Modelled(right, last) : streams_[right].number;
    AddModelled(left, what + "(s" + std::to_string(right) + ")", std::move(made),
                model_.Add({of_left, of_right}, std::move(step)));
  };
  const model::Place place = PlaceOf(options.partitions);
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
