// DStream: a stream of small datasets, one per batch.
//
// T is the record type and always owns what it holds. The second parameter is the fused chain of
// narrow operators behind the stream; `auto` keeps it, and naming DStream<T> ends it: the dataset
// is then stored once per batch however many consumers it has, while an unboxed chain runs once
// for each of its consumers.
//
// Three outcomes are kept apart at every batch time: a dataset with records, an empty dataset, and
// no dataset (between two slides of a window, or where a scripted source has nothing to say).
// Operators and outputs do not run without a dataset; a union has what either side has, and windows
// and UpdateStateByKey run and emit at each of their slides all the same.
//
// Functions are called from several threads at once, in any process of the job, and again when a
// batch is redone: they must be const-callable and give the same result each time. What they throw
// fails the attempt of their task. A row that is a view is valid during the call only.
//
// Streams are handles: copying one is cheap and declares nothing.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "driver/api/chain.h"
#include "driver/api/explain.h"
#include "driver/api/graph_builder.h"
#include "driver/api/operators.h"
#include "driver/api/options.h"

namespace sluice {

template <KeyRecord K, Record V>
class StaticDataset;  // static_dataset.h

template <Record T, class Chain = Stored<T>>
class DStream {
 public:
  using RecordType = T;
  using RowType = typename Chain::Out;
  static_assert(std::same_as<Own<RowType>, T>);

  // Boxes a fused chain.
  template <class Other>
    requires(!std::same_as<Other, Chain> && std::same_as<Chain, Stored<T>>)
  DStream(const DStream<T, Other>& other) : DStream(internal::Maps<T, Other>::Box(other)) {}

  // ---- narrow: within a partition, order kept -----------------------------------------------

  // f(record) for every record.
  template <class F>
    requires internal::MapFunction<F, RowType>
  auto Map(F f) const {
    return internal::Maps<T, Chain>::Map(*this, std::move(f));
  }

  // The elements of the range f(record); or what f(record, emit) passes to emit, where f is a
  // function object that names what it emits: `using Emits = ...`.
  template <class F>
    requires internal::FlatMapFunction<F, RowType>
  auto FlatMap(F f) const {
    return internal::Maps<T, Chain>::FlatMap(*this, std::move(f));
  }

  // The records for which f(record) holds.
  template <class F>
    requires internal::Predicate<F, RowType>
  auto Filter(F f) const {
    return internal::Maps<T, Chain>::Filter(*this, std::move(f));
  }

  // (key, f(value)); keys and their placement stay.
  template <class F>
    requires internal::MapValuesFunction<F, RowType>
  auto MapValues(F f) const {
    return internal::Maps<T, Chain>::MapValues(*this, std::move(f));
  }

  // (key, element) for each element of the range f(value); keys and their placement stay.
  template <class F>
    requires internal::FlatMapValuesFunction<F, RowType>
  auto FlatMapValues(F f) const {
    return internal::Maps<T, Chain>::FlatMapValues(*this, std::move(f));
  }

  // f(std::span<const T>) sees all records of a partition of the dataset and returns a range.
  // Copies the records; called once for every partition, also an empty one.
  template <class F>
    requires internal::PartitionFunction<F, T>
  auto MapPartitions(F f) const {
    return internal::Maps<T, Chain>::MapPartitions(*this, std::move(f));
  }

  // One record per partition, also of an empty one: the vector of all its records.
  auto Glom() const { return internal::Maps<T, Chain>::Glom(*this); }

  // Each record with the given probability, between 0 and 1, by random numbers that are the same
  // on every replay of the batch. Two samples of one stream are independent.
  auto Sample(double fraction) const {
    return internal::Samples<T, Chain>::Sample(*this, fraction);
  }

  // This stream's partitions, then the other's. Both must have the same slide.
  template <class Other>
  DStream<T> Union(const DStream<T, Other>& other) const {
    return internal::Maps<T, Chain>::Union(*this, other);
  }

  // f(stream, BatchTime) declares operators over this stream and returns what they give; their
  // functions may ask for the time of the batch. f itself runs when the graph is built, in every
  // process alike.
  template <class F>
  auto Transform(F f) const {
    return internal::Transforms<T, Chain>::Transform(*this, std::move(f));
  }
  // The same over this stream and another of the same slide: f(stream, other, BatchTime).
  template <class U, class Other, class F>
  auto TransformWith(const DStream<U, Other>& other, F f) const {
    return internal::Transforms<T, Chain>::TransformWith(*this, other, std::move(f));
  }

  // The same records, computed once per batch however many consumers the stream has, and stored as
  // long as the batch runs. Without it a fused chain runs once for each consumer.
  DStream<T> Persist() const { return internal::Maps<T, Chain>::Box(*this); }

  // The same records, spread evenly over exactly n partitions.
  DStream<T> Repartition(uint32_t n) const {
    return internal::Shuffles<T, Chain>::Repartition(*this, n);
  }

  // ---- over the whole dataset ---------------------------------------------------------------

  // One number per batch; 0 for an empty dataset.
  DStream<int64_t> Count() const { return internal::Shuffles<T, Chain>::Count(*this); }

  // All records folded by an associative f; an empty dataset gives an empty dataset.
  template <internal::ReduceFunction<T> F>
  DStream<T> Reduce(F f) const {
    return internal::Shuffles<T, Chain>::Reduce(*this, std::move(f));
  }

  // (record, how often it occurs in the batch).
  auto CountByValue(ShuffleOptions options = {}) const {
    static_assert(KeyRecord<T>, "CountByValue needs records that can be keys; a Protobuf message "
                                "cannot, as equal messages need not have equal bytes");
    return internal::Shuffles<T, Chain>::CountByValue(*this, options);
  }

  // Each record of the batch once.
  DStream<T> Distinct(ShuffleOptions options = {}) const {
    static_assert(KeyRecord<T>, "Distinct needs records that can be keys; a Protobuf message "
                                "cannot, as equal messages need not have equal bytes");
    return internal::Distincts<T, Chain>::Distinct(*this, options);
  }

  // All records ordered by f(record), the first in the first partition; those with equal results
  // stay in their order. A NaN goes last. One task merges what the others have sorted.
  template <class F>
  DStream<T> SortBy(F f, SortOptions options = {}) const {
    return internal::Sorts<T, Chain>::SortBy(*this, std::move(f), options);
  }

  // The k records with the greatest f(record), greatest first, in one partition; of equal ones
  // the earlier. Without f the records themselves are compared.
  template <class F = internal::WholeRecord>
  DStream<T> Top(uint32_t k, F f = {}) const {
    return internal::Sorts<T, Chain>::Top(*this, k, std::move(f));
  }

  // ---- streams of pairs (key, value) --------------------------------------------------------

  // The values of each key folded by an associative f, in the order of the records.
  template <class F>
    requires internal::PairRecord<T> && internal::ReduceFunction<F, internal::ValueOf<T>>
  auto ReduceByKey(F f, ShuffleOptions options = {}) const {
    return internal::Shuffles<T, Chain>::ReduceByKey(*this, std::move(f), options);
  }

  // Values folded into a combined value of another type: create(value) makes it of a key's first
  // one, merge_value(combined, value) adds one, and merge_combiners(a, b) adds what another task
  // has combined. Without .map_side the last is not called.
  template <class Create, class MergeValue, class MergeCombiners>
  auto CombineByKey(Create create, MergeValue merge_value, MergeCombiners merge_combiners,
                    CombineOptions options = {}) const {
    return internal::Combines<T, Chain>::CombineByKey(
        *this, std::move(create), std::move(merge_value), std::move(merge_combiners), options);
  }

  // (key, all its values of the batch, in the order of the records).
  auto GroupByKey(ShuffleOptions options = {}) const
    requires internal::PairRecord<T>
  {
    return internal::Shuffles<T, Chain>::GroupByKey(*this, options);
  }

  // Two streams of pairs with the same key and slide, matched by key within the batch. Where one
  // has no dataset it counts as empty. Keys of this stream come first.

  // (key, (all values here, all values there)) for each key that either has.
  template <class U, class Other>
  auto CoGroup(const DStream<U, Other>& other, ShuffleOptions options = {}) const {
    return internal::Joins<T, Chain>::CoGroup(*this, other, options);
  }

  // (key, (value here, value there)) for each two values of a key. An outer join also keeps the
  // values of this stream, the other, or both that have no match; what may lack is an optional.
  template <class U, class Other>
  auto Join(const DStream<U, Other>& other, ShuffleOptions options = {}) const {
    return internal::Joins<T, Chain>::Inner(*this, other, options);
  }
  template <class U, class Other>
  auto LeftOuterJoin(const DStream<U, Other>& other, ShuffleOptions options = {}) const {
    return internal::Joins<T, Chain>::LeftOuter(*this, other, options);
  }
  template <class U, class Other>
  auto RightOuterJoin(const DStream<U, Other>& other, ShuffleOptions options = {}) const {
    return internal::Joins<T, Chain>::RightOuter(*this, other, options);
  }
  template <class U, class Other>
  auto FullOuterJoin(const DStream<U, Other>& other, ShuffleOptions options = {}) const {
    return internal::Joins<T, Chain>::FullOuter(*this, other, options);
  }

  // The same with a dataset that is no stream, in the map task: nothing is sent. The dataset's
  // version is the one that the job driver found when it planned the batch.
  template <class K, class W>
  auto Join(const StaticDataset<K, W>& dataset) const {
    return internal::StaticJoins<T, Chain>::template Join<false>(*this, dataset, "Join");
  }
  template <class K, class W>
  auto LeftOuterJoin(const StaticDataset<K, W>& dataset) const {
    return internal::StaticJoins<T, Chain>::template Join<true>(*this, dataset, "LeftOuterJoin");
  }

  // ---- windows ------------------------------------------------------------------------------
  // A window at time t covers the batches in (t - length, t] and emits at every multiple of slide
  // since the job's start, from the first one on; batches before the start count as absent. Both
  // must be multiples of the stream's own slide.

  // The records of the window's batches, oldest batch first.
  DStream<T> Window(WindowOptions window) const {
    return internal::Windows<T, Chain>::Window(*this, window);
  }

  // Values folded by key over the window by an associative f, older before newer. A key that no
  // batch of the window holds is absent.
  template <class F>
    requires internal::PairRecord<T> && internal::ReduceFunction<F, internal::ValueOf<T>>
  auto ReduceByKeyAndWindow(F f, WindowOptions window) const {
    return internal::Windows<T, Chain>::Reduce(*this, std::move(f), window);
  }

  // The same, faster, where inverse(f(a, b), a) is b.
  template <class F, class G>
    requires internal::PairRecord<T> && internal::ReduceFunction<F, internal::ValueOf<T>> &&
             internal::ReduceFunction<G, internal::ValueOf<T>>
  auto ReduceByKeyAndWindow(F f, G inverse, WindowOptions window) const {
    return internal::Windows<T, Chain>::ReduceInverse(*this, std::move(f), std::move(inverse),
                                                      window);
  }

  // With a filter(key, value): a key that it rejects when the window slides is dropped from the
  // state, with all values that the window has of it; it begins anew with its next one.
  template <class F, class G, class Filter>
    requires internal::PairRecord<T> && internal::ReduceFunction<F, internal::ValueOf<T>> &&
             internal::ReduceFunction<G, internal::ValueOf<T>> && internal::WindowFilter<Filter, T>
  auto ReduceByKeyAndWindow(F f, G inverse, WindowOptions window, Filter filter) const {
    return internal::Windows<T, Chain>::ReduceFiltered(*this, std::move(f), std::move(inverse),
                                                       window, std::move(filter));
  }

  // All records of the window folded by f, older before newer; an empty window gives none.
  // With an inverse as above.
  template <class F>
  auto ReduceByWindow(F f, WindowOptions window) const {
    return internal::WindowForms<T, Chain>::ReduceByWindow(*this, window, std::move(f));
  }
  template <class F, class G>
  auto ReduceByWindow(F f, G inverse, WindowOptions window) const {
    return internal::WindowForms<T, Chain>::ReduceByWindow(*this, window, std::move(f),
                                                           std::move(inverse));
  }

  // One number per slide: how many records the window has. Nothing until the first record ever.
  DStream<int64_t> CountByWindow(WindowOptions window) const {
    return internal::WindowForms<T, Chain>::CountByWindow(*this, window);
  }

  // (record, how often the window has it), for those that it has.
  auto CountByValueAndWindow(WindowOptions window) const {
    return internal::WindowForms<T, Chain>::CountByValueAndWindow(*this, window);
  }

  // (key, all its values of the window, oldest batch first).
  auto GroupByKeyAndWindow(WindowOptions window) const {
    return internal::WindowForms<T, Chain>::GroupByKeyAndWindow(*this, window);
  }

  // The datasets of past batches, oldest first: {.from = 5s, .to = 2s} has those of the times from
  // five to two seconds before the batch at hand, both included. An end between two times of the
  // stream means the one before it. Batches before the start count as absent.
  DStream<T> Slice(SliceOptions options) const {
    return internal::Slices<T, Chain>::Slice(*this, options);
  }
  // The same between times that f(batch time in ms) chooses, which runs in the job driver when the
  // batch is planned. It may reach back as far as StreamingContext::Remember keeps; a batch whose
  // slice begins before that fails. Times after the batch at hand have no dataset yet.
  template <class F>
    requires(!std::convertible_to<F, SliceOptions>)
  DStream<T> Slice(F f, uint32_t partitions = 0) const {
    return internal::Slices<T, Chain>::Chosen(*this, std::move(f), partitions);
  }

  // ---- state --------------------------------------------------------------------------------

  // Keeps a state S per key under a name that outlives the program.
  // f(std::span<const V> values, std::optional<S> state) gives the key's new state, or nothing to
  // forget the key. By default f is called for every key at every batch, with no values where none
  // came, and (key, state) is emitted for all keys.
  // f may also be f(BatchTime, key, values, state).
  // S is taken from f's last parameter; for a generic f write UpdateStateByKey<S>(name, f).
  template <class S = internal::Deduced, class F>
    requires internal::PairRecord<T> && internal::UpdateFunction<F, T, S>
  auto UpdateStateByKey(std::string name, F f,
                        StateOptions<internal::KeyOf<T>, internal::StateOf<F, S>> options = {})
      const {
    return internal::States<T, Chain>::template Update<S>(*this, std::move(name), std::move(f),
                                                          std::move(options));
  }

  // f(key, std::optional<V> value, State<S>& state) for every record, in order, may read, update
  // and remove the state of the record's key; what it returns is emitted, an empty optional is not.
  // f may also be f(BatchTime, key, value, state). With an idle timeout, a key with state
  // that no record has touched for longer gets one last call, without a value, in the first batch
  // of which that is true, behind the batch's records; its state is then gone. Keys that time out
  // together come in the order of their last touch, those of one batch in that of getting state.
  // The stream has a further method, StateSnapshots(): all (key, state) after each batch.
  // S is taken from f's last parameter; for a generic f write MapWithState<S>(name, f).
  template <class S = internal::Deduced, class F>
  auto MapWithState(std::string name, F f,
                    internal::MapWithStateOptionsOf<T, F, S> options = {}) const {
    return internal::StateMaps<T, Chain>::template Add<S>(*this, std::move(name), std::move(f),
                                                          std::move(options));
  }

  // ---- outputs: nothing runs without one ----------------------------------------------------

  // The first n records of each batch, to the job driver's standard output.
  void Print(uint32_t n = 10) const { internal::Outputs<T, Chain>::Print(*this, n); }

  // Each batch as a directory `prefix-BATCHMS[.suffix]` of text files, one per partition, exactly
  // once. `prefix` is absolute and seen by all nodes, or s3://bucket/prefix.
  void SaveAsTextFiles(const std::string& prefix, const std::string& suffix = "",
                       SaveOptions options = {}) const {
    internal::Outputs<T, Chain>::SaveAsTextFiles(*this, prefix, suffix, options);
  }

  // The same with the encoded records, which ObjectFileStream reads back.
  void SaveAsObjectFiles(const std::string& prefix, const std::string& suffix = "",
                         SaveOptions options = {}) const {
    internal::Outputs<T, Chain>::SaveAsObjectFiles(*this, prefix, suffix, options);
  }

  // The same with the bytes of a format: an object with `void Append(const T& row, std::string&
  // out) const` and, if it wants, `Header() const` and `Footer() const`: text of every file.
  template <internal::FileFormatOf<T> Format>
  void SaveAsFiles(const std::string& prefix, Format format, const std::string& suffix = "",
                   SaveOptions options = {}) const {
    internal::Outputs<T, Chain>::SaveAsFiles(*this, prefix, std::move(format), suffix, options);
  }

  // f(const PartitionBatch<T>&) in the tasks, for every partition, also an empty one, after the
  // batch before is decided and before this one is. It may run again after a failure, with the
  // same identity: a sink that ignores that gets its rows at least once.
  template <internal::PartitionBatchFunction<T> F>
  void ForeachPartition(F f) const {
    internal::Outputs<T, Chain>::ForeachPartition(*this, std::move(f));
  }

  // f(const Batch<T>&) in the job driver, once per batch, in batch order, before the batch is
  // decided. It may run again after a failure, with the same identity: use the identity to make
  // the effect idempotent.
  template <internal::BatchFunction<T> F>
  void ForeachBatch(F f) const {
    internal::Outputs<T, Chain>::ForeachBatch(*this, std::move(f));
  }

  // ---- what a compiler says when a constraint above does not hold ---------------------------

  template <class F> void Map(F) const { internal::ExplainMap<F, RowType>(); }
  template <class F> void FlatMap(F) const { internal::ExplainFlatMap<F, RowType>(); }
  template <class F> void Filter(F) const { internal::ExplainFilter<F, RowType>(); }
  template <class F> void MapValues(F) const { internal::ExplainMapValues<F, T, RowType>(); }
  template <class F>
  void FlatMapValues(F) const { internal::ExplainFlatMapValues<F, T, RowType>(); }
  template <class F> void MapPartitions(F) const { internal::ExplainMapPartitions<F, T>(); }
  template <class F> void Reduce(F) const { internal::ExplainReduce<F, T>(); }
  template <class F>
  void ReduceByKey(F, ShuffleOptions = {}) const {
    internal::ExplainPairs<T, internal::kReduceByKey>();
    internal::ExplainReduce<F, internal::ValueOf<T>>();
  }
  template <class Options = ShuffleOptions>
  void GroupByKey(Options = {}) const {
    internal::ExplainPairs<T, internal::kGroupByKey>();
  }
  template <class F>
  void ReduceByKeyAndWindow(F, WindowOptions) const {
    internal::ExplainPairs<T, internal::kReduceByKeyAndWindow>();
    internal::ExplainReduce<F, internal::ValueOf<T>>();
  }
  template <class F, class G>
  void ReduceByKeyAndWindow(F f, G, WindowOptions window) const {
    ReduceByKeyAndWindow(f, window);
    internal::ExplainReduce<G, internal::ValueOf<T>>();
  }
  template <class F, class G, class Filter>
  void ReduceByKeyAndWindow(F f, G inverse, WindowOptions window, Filter) const {
    ReduceByKeyAndWindow(f, inverse, window);
    internal::ExplainWindowFilter<Filter, T>();
  }
  template <class S = internal::Deduced, class F>
    requires(!internal::PairRecord<T> || !internal::UpdateFunction<F, T, S>)
  void UpdateStateByKey(std::string, F, StateOptions<S, S> = {}) const {
    internal::ExplainPairs<T, internal::kUpdateStateByKey>();
    internal::ExplainUpdate<F, T, S>();
  }
  template <class F>
  void SaveAsFiles(const std::string&, F, const std::string& = "", SaveOptions = {}) const {
    internal::ExplainSaveAsFiles<F, T>();
  }
  template <class F> void ForeachBatch(F) const { internal::ExplainForeachBatch<F, T>(); }
  template <class F> void ForeachPartition(F) const { internal::ExplainForeachPartition<F, T>(); }

 private:
  friend struct internal::StreamAccess;
  DStream(internal::StreamPlace place, Chain chain)
      : place_(std::move(place)), chain_(std::move(chain)) {}

  internal::StreamPlace place_;
  Chain chain_;
};

}  // namespace sluice

#include "driver/api/stream_access.h"
