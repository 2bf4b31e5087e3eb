#include "tests/golden/random_program.h"

#include <algorithm>

namespace sluice::golden {

RandomProgram::RandomProgram(StreamingContext& ssc, model::Model& model,
                             std::vector<RandomStream> sources, uint32_t seed, int operators)
    : random_(seed), ssc_(ssc), model_(model), streams_(std::move(sources)) {
  for (size_t i = 0; i < streams_.size(); ++i) text_ += "s" + std::to_string(i) + " = source\n";
  for (int i = 0; i < operators; ++i) AddOperator();
}

std::vector<RandomStream> RandomProgram::outputs() const {
  std::vector<RandomStream> outputs;
  for (size_t i = 0; i < streams_.size(); ++i) {
    if (!streams_[i].used || i + 1 == streams_.size()) outputs.push_back(streams_[i]);
  }
  return outputs;
}

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

void RandomProgram::AddModelled(size_t from, const std::string& what, DStream<Pair> made,
                                size_t number, int slide) {
  text_ += "s" + std::to_string(streams_.size()) + " = s" + std::to_string(from) + "." + what +
           "\n";
  if (slide == 0) slide = streams_[from].slide;
  streams_[from].used = true;
  streams_.push_back({std::move(made), number, slide});
}

void RandomProgram::AddNarrow(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  switch (kind) {
    case 0:
      return Add(from, "Map(Tripled)", s.Map(Tripled),
                 model::PerRecord([](const Pair& p) { return Pairs{Tripled(p)}; }));
    case 1:
      return Add(from, "Filter(IsNoThird)", s.Filter(IsNoThird),
                 model::PerRecord([](const Pair& p) { return IsNoThird(p) ? Pairs{p} : Pairs{}; }));
    case 2:
      return Add(from, "FlatMap(SomeTimes)", s.FlatMap(SomeTimes), model::PerRecord(SomeTimes));
    case 3:
      return Add(from, "MapValues(OneMore)", s.MapValues(OneMore),
                 model::PerRecord([](const Pair& p) {
                   return Pairs{{p.first, OneMore(p.second)}};
                 }));
    default:
      return Add(from, "MapPartitions(Reversed)", s.MapPartitions(Reversed),
                 model::PerPartition(Reversed));
  }
}

void RandomProgram::AddWhole(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  const uint32_t partitions = 1 + Below(4);
  switch (kind) {
    case 0:
      return Add(from, "Count()", s.Count().Map([](int64_t n) { return Pair{"count", n}; }),
                 model::Count("count"));
    case 1:
      return Add(from, "Reduce(FirstKeyAndSum)", s.Reduce(kFirstKeyAndSum),
                 model::Reduce(kFirstKeyAndSum));
    default:
      return Add(from, "Repartition(" + std::to_string(partitions) + ")",
                 s.Repartition(partitions), model::Repartition(partitions));
  }
}

void RandomProgram::AddDataset(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  const uint32_t partitions = AnyPartitions();
  const bool descending = Below(2) == 0;
  switch (kind) {
    case 0:
      return Add(from, "Distinct()", s.Distinct({.partitions = partitions}),
                 model::Distinct(PlaceOf(partitions)));
    case 1:
      return Add(from, descending ? "SortBy(RankOf, descending)" : "SortBy(RankOf)",
                 s.SortBy(RankOf, {.descending = descending, .partitions = partitions}),
                 model::SortBy(RankOf, descending, Counted(partitions)));
    case 2:
      return Add(from, "Top(5)", s.Top(5, RankOf), model::Top(5, RankOf));
    default:
      return AddSample(from);
  }
}

void RandomProgram::AddSample(size_t from) {
  const auto taken = std::make_shared<model::Taken>();
  const DStream<Pair> sampled = streams_[from].pairs.Sample(0.7);
  samples_.push_back({sampled, taken});
  Add(from, "Sample(0.7)", sampled, model::Sample(taken));
}

void RandomProgram::AddUnion(size_t left) {
  const size_t right = Pick();
  if (streams_[right].slide != streams_[left].slide) return AddNarrow(left, 3);
  streams_[right].used = true;
  AddModelled(left, "Union(s" + std::to_string(right) + ")",
              streams_[left].pairs.Union(streams_[right].pairs),
              model_.Add({streams_[left].number, streams_[right].number}, model::Union()));
}

}  // namespace sluice::golden
