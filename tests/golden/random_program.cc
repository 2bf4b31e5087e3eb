#include "tests/golden/random_program.h"

#include <algorithm>

namespace sluice::golden {
namespace {

constexpr int kSlideMax = 6;

auto Sum = std::plus<>();
auto Difference = std::minus<>();
auto Last = [](int64_t, int64_t newer) { return newer; };
auto FirstKeyAndSum = [](const Pair& a, const Pair& b) {
  return Pair{a.first, a.second + b.second};
};

// Depends on the order of the values.
int64_t Digest(const auto& values) {
  uint64_t digest = 7;
  for (const int64_t value : values) digest = digest * 31 + static_cast<uint64_t>(value);
  return static_cast<int64_t>(digest % 1'000'003);
}

std::vector<Pair> Reversed(std::span<const Pair> records) {
  return {records.rbegin(), records.rend()};
}

// Forgets a key that was idle for two batches, or whose digest is a multiple of five.
std::optional<int64_t> Remember(std::span<const int64_t> values, std::optional<int64_t> state) {
  if (values.empty()) return *state % 2 == 0 ? std::nullopt : std::optional(*state / 2 * 2);
  const int64_t next = Digest(values) + state.value_or(0) % 1000;
  if (next % 5 == 0) return std::nullopt;
  return next;
}

// Removes, only looks, or updates; a key ends with a "!" behind it.
std::optional<Pair> Track(const std::string& key, std::optional<int64_t> value,
                          State<int64_t>& state) {
  if (!value.has_value()) return Pair{key + "!", state.Get()};
  if (*value % 4 == 0) state.Remove();
  else if (*value % 4 != 1) state.Update(state.GetOption().value_or(3) * 3 % 1000 + *value);
  if (!state.Exists()) return std::nullopt;
  return Pair{key, state.Get()};
}

int64_t ValueOf(const Pair& pair) { return pair.second % 7; }

// A row of a join as a pair. Not inlined: GCC 12 then warns of what an empty optional holds.
int64_t Weigh(int64_t value) { return value; }
[[gnu::noinline]] int64_t Weigh(const std::optional<int64_t>& value) {
  return value.has_value() ? *value : 1'000;
}
auto Weighed = [](const auto& match) {
  return (Weigh(match.first) * 31 + Weigh(match.second)) % 1'000'003;
};

}  // namespace

RandomProgram::RandomProgram(BothRuns& runs, uint32_t seed, int operators)
    : random_(seed), runs_(runs) {
  const int sources = 1 + static_cast<int>(Below(2));
  for (int i = 0; i < sources; ++i) {
    inputs_.push_back(std::make_unique<BothInput<Pair>>(runs));
    streams_.push_back({inputs_.back()->stream()});
    text_ += "s" + std::to_string(i) + " = source\n";
  }
  for (int i = 0; i < operators; ++i) AddOperator();
  for (size_t i = 0; i < streams_.size(); ++i) {
    if (!streams_[i].used || i + 1 == streams_.size()) runs.Keep(streams_[i].pairs);
  }
  random_.seed(seed + 1'000'000);  // the input does not depend on the number of operators
}

void RandomProgram::PushBatch() {
  for (auto& input : inputs_) {
    const uint32_t kind = Below(10);
    if (kind == 0) {
      input->PushNoDataset();
    } else if (kind > 1) {
      std::vector<Pair> records(Below(12));
      for (Pair& record : records) {
        record = {std::string(1 + Below(3) * 8, static_cast<char>('a' + Below(4))),
                  static_cast<int64_t>(Below(20)) - 5};
      }
      input->Push(records);
    }
  }
}

int RandomProgram::Ticks() { return Below(10) == 0 ? 2 + static_cast<int>(Below(4)) : 1; }

// Newer streams more often, so that programs grow deep.
size_t RandomProgram::Pick() {
  const auto n = static_cast<uint32_t>(streams_.size());
  return std::max(Below(n), Below(n));
}

void RandomProgram::AddOperator() {
  const size_t from = Pick();
  const uint32_t kind = Below(30);
  if (kind < 5) AddNarrow(from, kind);
  else if (kind < 8) AddWhole(from, kind - 5);
  else if (kind < 11) AddByKey(from, kind - 8);
  else if (kind < 15) AddWindow(from, kind - 11);
  else if (kind < 17) AddState(from, kind - 15);
  else if (kind < 18) AddUnion(from);
  else if (kind < 22) AddDataset(from, kind - 18);
  else if (kind < 27) AddJoin(from, kind - 22);
  else AddMapWithState(from);
}

void RandomProgram::Add(size_t from, const std::string& what, DStream<Pair> made, int slide) {
  text_ += "s" + std::to_string(streams_.size()) + " = s" + std::to_string(from) + "." + what +
           "\n";
  if (slide == 0) slide = streams_[from].slide;
  streams_[from].used = true;
  streams_.push_back({std::move(made), slide});
}

void RandomProgram::AddNarrow(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  switch (kind) {
    case 0:
      return Add(from, "Map(value * 3)", s.Map([](const Pair& p) {
        return Pair{p.first, p.second * 3};
      }));
    case 1:
      return Add(from, "Filter(value % 3 != 0)",
                 s.Filter([](const Pair& p) { return p.second % 3 != 0; }));
    case 2:
      return Add(from, "FlatMap(value % 3 times)", s.FlatMap([](const Pair& p) {
        return std::vector<Pair>(static_cast<size_t>((p.second % 3 + 3) % 3), p);
      }));
    case 3:
      return Add(from, "MapValues(+ 1)", s.MapValues([](int64_t v) { return v + 1; }));
    default:
      return Add(from, "MapPartitions(Reversed)", s.MapPartitions(Reversed));
  }
}

void RandomProgram::AddWhole(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  const uint32_t partitions = 1 + Below(4);
  switch (kind) {
    case 0:
      return Add(from, "Count()",
                 s.Count().Map([](int64_t n) { return Pair{"count", n}; }));
    case 1:
      return Add(from, "Reduce(FirstKeyAndSum)", s.Reduce(FirstKeyAndSum));
    default:
      return Add(from, "Repartition(" + std::to_string(partitions) + ")",
                 s.Repartition(partitions));
  }
}

void RandomProgram::AddDataset(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  const uint32_t partitions = Below(4);
  switch (kind) {
    case 0:
      return Add(from, "Distinct()", s.Distinct({.partitions = partitions}));
    case 1:
      return Add(from, "SortBy(value % 7)",
                 s.SortBy(ValueOf, {.descending = Below(2) == 0, .partitions = partitions}));
    case 2:
      return Add(from, "Top(5)", s.Top(5, ValueOf));
    default:
      return Add(from, "Sample(0.7)", s.Sample(0.7));
  }
}

void RandomProgram::AddByKey(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  const uint32_t partitions = Below(4);  // 0: the job's
  const std::string in = ", " + std::to_string(partitions) + " partitions)";
  switch (kind) {
    case 0:
      return Add(from, "ReduceByKey(Last" + in, s.ReduceByKey(Last, {.partitions = partitions}));
    case 1:
      return Add(from, "GroupByKey(Digest" + in,
                 s.GroupByKey({.partitions = partitions}).MapValues([](const auto& values) {
                   return Digest(values);
                 }));
    default:
      return Add(from, "CountByValue(" + in,
                 s.CountByValue({.partitions = partitions}).Map([](const auto& counted) {
                   const auto& [record, n] = counted;
                   return Pair{std::string(record.first), record.second * 10 + n};
                 }));
  }
}

void RandomProgram::AddWindow(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  const int own = streams_[from].slide;
  int slide = own * static_cast<int>(1 + Below(3));
  if (slide > kSlideMax) slide = own;
  const int length = own * static_cast<int>(1 + Below(4));
  const WindowOptions window{.length = std::chrono::seconds(length),
                             .slide = std::chrono::seconds(slide),
                             .partitions = Below(4)};
  const std::string shape = "(" + std::to_string(length) + "s, " + std::to_string(slide) + "s)";
  switch (kind) {
    case 0:
      return Add(from, "Window" + shape, s.Window(window), slide);
    case 1:
      return Add(from, "ReduceByKeyAndWindow Last " + shape, s.ReduceByKeyAndWindow(Last, window),
                 slide);
    case 2:
      return Add(from, "ReduceByKeyAndWindow Sum " + shape, s.ReduceByKeyAndWindow(Sum, window),
                 slide);
    default:
      return Add(from, "ReduceByKeyAndWindow Sum Difference " + shape,
                 s.ReduceByKeyAndWindow(Sum, Difference, window), slide);
  }
}

// Often both streams of the operator go on.
void RandomProgram::AddMapWithState(size_t from) {
  const int idle = streams_[from].slide * static_cast<int>(Below(4));  // 0: for ever
  const std::string name = "state-" + std::to_string(streams_.size());
  const std::string what = "MapWithState " + std::to_string(idle) + "s idle";
  const auto tracked = streams_[from].pairs.MapWithState(
      name, Track,
      {.idle_timeout = std::chrono::seconds(idle),
       .partitions = Below(4),
       .initial_state = {{"a", 7}, {std::string(9, 'b'), 8}}});
  if (Below(2) == 0) Add(from, what + ", snapshots", tracked.StateSnapshots());
  Add(from, what, tracked);
}

void RandomProgram::AddState(size_t from, uint32_t kind) {
  const IdleKeys idle = kind == 0 ? IdleKeys::kCall : IdleKeys::kSkip;
  const std::string name = "state-" + std::to_string(streams_.size());
  Add(from, kind == 0 ? "UpdateStateByKey" : "UpdateStateByKey kSkip",
      streams_[from].pairs.UpdateStateByKey(name, Remember,
                                            {.idle_keys = idle, .partitions = Below(4)}));
}

void RandomProgram::AddUnion(size_t left) {
  const size_t right = Pick();
  if (streams_[right].slide != streams_[left].slide) return AddNarrow(left, 3);
  streams_[right].used = true;
  Add(left, "Union(s" + std::to_string(right) + ")",
      streams_[left].pairs.Union(streams_[right].pairs));
}

// One side has one value per key, so that rows do not multiply.
void RandomProgram::AddJoin(size_t left, uint32_t kind) {
  const size_t right = Pick();
  if (streams_[right].slide != streams_[left].slide) return AddNarrow(left, 1);
  streams_[right].used = true;
  const DStream<Pair> l = streams_[left].pairs, r = streams_[right].pairs;
  const ShuffleOptions options{.partitions = Below(4)};
  const std::string with = "(s" + std::to_string(right) + ")";
  switch (kind) {
    case 0:
      return Add(left, "Join" + with,
                 l.ReduceByKey(Last).Join(r, options).MapValues(Weighed));
    case 1:
      return Add(left, "LeftOuterJoin" + with,
                 l.LeftOuterJoin(r.ReduceByKey(Last), options).MapValues(Weighed));
    case 2:
      return Add(left, "RightOuterJoin" + with,
                 l.ReduceByKey(Last).RightOuterJoin(r, options).MapValues(Weighed));
    case 3:
      return Add(left, "FullOuterJoin" + with,
                 l.FullOuterJoin(r.ReduceByKey(Last), options).MapValues(Weighed));
    default:
      return Add(left, "CoGroup" + with, l.CoGroup(r, options).MapValues([](const auto& sides) {
        return (Digest(sides.first) * 31 + Digest(sides.second)) % 1'000'003;
      }));
  }
}

}  // namespace sluice::golden
