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
  const uint32_t kind = Below(50);
  if (kind < 7) AddNarrow(from, kind);
  else if (kind < 9) AddOfBatch(from, kind - 7);
  else if (kind < 11) AddStaticJoin(from, kind == 10);
  else if (kind < 14) AddWhole(from, kind - 11);
  else if (kind < 18) AddDataset(from, kind - 14);
  else if (kind < 22) AddByKey(from, kind - 18);
  else if (kind < 27) AddJoin(from, kind - 22);
  else if (kind < 31) AddWindow(from, kind - 27);
  else if (kind < 37) AddKeyWindow(from, kind - 31);
  else if (kind < 39) AddSlice(from, kind == 38);
  else if (kind < 43) AddState(from, kind - 39);
  else if (kind < 46) AddUnion(from, kind - 43);
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
      return Add(from, "Map(Tripled).Persist()", s.Map(Tripled).Persist(),
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
    case 4:
      return Add(from, "MapPartitions(Reversed)", s.MapPartitions(Reversed),
                 model::PerPartition(Reversed));
    case 5:
      return Add(from, "FlatMapValues(Parts)", s.FlatMapValues(Parts),
                 model::PerRecord([](const Pair& p) {
                   Pairs parts;
                   for (const int64_t part : Parts(p.second)) parts.emplace_back(p.first, part);
                   return parts;
                 }));
    default:
      return Add(from, "Glom().Map(DigestOfRecords)", s.Glom().Map([](const auto& part) {
        return Pair{"glom", DigestOfRecords(part)};
      }), model::PerPartition([](const Pairs& rows) {
        return Pairs{{"glom", DigestOfRecords(rows)}};
      }));
  }
}

void RandomProgram::AddOfBatch(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  const model::Step later =
      model::PerRecordAt([](int64_t batch_ms, const Pair& p) { return Pairs{Later(p, batch_ms)}; });
  if (kind == 0) {
    return Add(from, "Transform(Later)", s.Transform([](const auto& stream, BatchTime time) {
      return stream.Map([time](const Pair& p) { return Later(p, time.ms()); });
    }), later);
  }
  const auto value = ssc_.PerBatch(NewName("value-"), ValueAt);
  Add(from, "Map(+ value of the batch)",
      s.Map([value](const Pair& p) { return Pair{p.first, p.second + *value}; }), later);
}

void RandomProgram::AddStaticJoin(size_t from, bool outer) {
  const DStream<Pair> s = streams_[from].pairs;
  const auto table = ssc_.StaticDataset<std::string, int64_t>(NewName("table-"), TableVersion,
                                                              Table);
  const auto add = [&](const char* what, const auto& joined) {
    const auto weighed = joined.MapValues([](const auto& match) {
      return Weighed(match.first, std::optional<int64_t>(match.second));
    });
    Add(from, what, weighed, model::JoinTable([](int64_t batch_ms) {
      return Table(TableVersion(batch_ms));
    }, outer, Weighed));
  };
  if (outer) add("LeftOuterJoin(table)", s.LeftOuterJoin(table));
  else add("Join(table)", s.Join(table));
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

void RandomProgram::AddUnion(size_t left, uint32_t kind) {
  const size_t right = Pick();
  if (streams_[right].slide != streams_[left].slide) return AddNarrow(left, 3);
  streams_[right].used = true;
  const DStream<Pair> l = streams_[left].pairs, r = streams_[right].pairs;
  const size_t of_left = streams_[left].number, of_right = streams_[right].number;
  const std::string with = "(s" + std::to_string(right) + ")";
  switch (kind) {
    case 0:
      return AddModelled(left, "Union" + with, l.Union(r),
                         model_.Add({of_left, of_right}, model::Union()));
    case 1:
      return AddModelled(left, "Union of three" + with, ssc_.Union<Pair>({l, r, l}),
                         model_.Add({of_left, of_right, of_left}, model::Union()));
    default:
      break;
  }
  const auto later_and_other = [](const auto& a, const auto& b, BatchTime time) {
    return a.Map([time](const Pair& p) { return Later(p, time.ms()); }).Union(b);
  };
  const size_t later = Modelled(left, model::PerRecordAt([](int64_t batch_ms, const Pair& p) {
    return Pairs{Later(p, batch_ms)};
  }));
  AddModelled(left, "TransformWith" + with, l.TransformWith(r, later_and_other),
              model_.Add({later, of_right}, model::Union()));
}

}  // namespace sluice::golden
