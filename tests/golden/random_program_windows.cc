// Of random programs: windows and slices.
#include "tests/golden/random_program.h"

namespace sluice::golden {
namespace {

constexpr int kSlideMax = 6;
constexpr int kRememberedBatches = 12;  // what a chosen slice may reach back

// The last of three batches that a slice takes, so many before the one at hand.
int64_t ChosenAgo(int64_t batch_ms) { return ValueAt(batch_ms) % 4; }

}  // namespace

RandomProgram::Sliding RandomProgram::AnyWindow(size_t from) {
  const int own = streams_[from].slide;
  int slide = own * static_cast<int>(1 + Below(3));
  if (slide > kSlideMax) slide = own;
  const int length = own * static_cast<int>(1 + Below(4));
  return {{.length = Batches(length), .slide = Batches(slide), .partitions = AnyPartitions()},
          {length, slide},
          "(" + std::to_string(length) + ", " + std::to_string(slide) + ")"};
}

void RandomProgram::AddWindow(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  const auto [window, shape, text] = AnyWindow(from);
  const int slide = static_cast<int>(shape.slide);
  switch (kind) {
    case 0:
      return Add(from, "Window" + text, s.Window(window),
                 model::Window(shape, Counted(window.partitions)), slide);
    case 1:
      return Add(from, "ReduceByWindow FirstKeyAndSum " + text,
                 s.ReduceByWindow(kFirstKeyAndSum, window),
                 model::OverWindow(shape, model::Reduce(kFirstKeyAndSum)), slide);
    case 2: {
      const size_t under_all =
          Modelled(from, model::PerRecord([](const Pair& p) { return Pairs{UnderAll(p)}; }));
      return AddModelled(
          from, "Map(UnderAll).ReduceByWindow, with inverse, " + text,
          s.Map(UnderAll).ReduceByWindow(kFirstKeyAndSum, kFirstKeyAndDifference, window),
          model_.Add({under_all}, model::OverWindow(shape, model::Reduce(kFirstKeyAndSum))),
          slide);
    }
    default:
      return Add(from, "CountByWindow" + text,
                 s.CountByWindow(window).Map([](int64_t n) { return Pair{"count", n}; }),
                 model::CountByWindow(shape, "count"), slide);
  }
}

void RandomProgram::AddKeyWindow(size_t from, uint32_t kind) {
  const DStream<Pair> s = streams_[from].pairs;
  auto [window, shape, text] = AnyWindow(from);
  const int slide = static_cast<int>(shape.slide);
  if (kind == 0) {
    const auto counts = s.CountByValueAndWindow(window).Map([](const auto& counted) {
      const auto& [record, n] = counted;
      return WithCount({std::string(record.first), record.second}, n);
    });
    const model::Step step = model::CountByValue(PlaceOf(window.partitions), WithCount);
    return AddInOrder(from, "CountByValueAndWindow" + text, counts,
                      model::OverWindow(shape, step), slide);
  }
  const Placing to = AnyPlacing();
  window.partitions = to.options.partitions;
  window.partitioner = to.options.partitioner;
  text += ", " + to.text;
  const auto folded = [&](const char* what, const DStream<Pair>& made, const model::Fold& fold) {
    AddInOrder(from, what + text, made,
               model::OverWindow(shape, model::ReduceByKey(fold, to.place)), slide);
  };
  switch (kind) {
    case 1:
      return folded("ReduceByKeyAndWindow Last ", s.ReduceByKeyAndWindow(kLast, window), kLast);
    case 2:
      return folded("ReduceByKeyAndWindow Sum ", s.ReduceByKeyAndWindow(kSum, window), kSum);
    case 3:
      return folded("ReduceByKeyAndWindow Sum Difference ",
                    s.ReduceByKeyAndWindow(kSum, kDifference, window), kSum);
    case 4:
      return AddInOrder(from, "ReduceByKeyAndWindow Sum Difference IsKept " + text,
                        s.ReduceByKeyAndWindow(kSum, kDifference, window, IsKept),
                        model::FilteredWindow(shape, kSum, IsKept, to.place), slide);
    default:
      return Add(from, "GroupByKeyAndWindow(Digest) " + text,
                 s.GroupByKeyAndWindow(window).MapValues([](const auto& values) {
                   return Digest(values);
                 }),
                 model::OverWindow(shape, model::GroupByKey(Digest, to.place)), slide);
  }
}

void RandomProgram::AddSlice(size_t from, bool chosen) {
  const DStream<Pair> s = streams_[from].pairs;
  const int slide = streams_[from].slide;
  const uint32_t partitions = AnyPartitions();
  if (!chosen) {
    const int to_ago = static_cast<int>(Below(3));
    const int from_ago = to_ago + static_cast<int>(Below(3));
    const auto ends = [=](model::Time now) {
      return model::SliceEnds{now.tick - from_ago, now.tick - to_ago};
    };
    return Add(
        from, "Slice(" + std::to_string(from_ago) + ", " + std::to_string(to_ago) + " ago)",
        s.Slice(
            {.from = Batches(from_ago), .to = Batches(to_ago), .partitions = partitions}),
        model::Slice(ends, slide, Counted(partitions)));
  }
  if (!std::exchange(remembers_, true)) ssc_.Remember(Batches(kRememberedBatches));
  const auto times = [tick_ms = ssc_.batch_interval().count()](int64_t batch_ms) {
    const int64_t to_ms = batch_ms - ChosenAgo(batch_ms) * tick_ms;
    return SliceTimes{to_ms - 2 * tick_ms, to_ms};
  };
  const auto ends = [](model::Time now) {
    const int64_t to = now.tick - ChosenAgo(now.ms);
    return model::SliceEnds{to - 2, to};
  };
  Add(from, "Slice(ChosenAgo)", s.Slice(times, partitions),
      model::Slice(ends, slide, Counted(partitions)));
}

}  // namespace sluice::golden
