// MapWithState: a function of every record that may read and change the state of the record's key.
#pragma once

#include "driver/api/dstream.h"
#include "driver/api/shuffle.h"
#include "driver/api/state_mapper.h"

namespace sluice {
namespace internal {

// ---- the operator ---------------------------------------------------------------------------

// The operator's dataset has rows of two kinds, told apart by their first byte: what the function
// emitted, and entries of the snapshot.
enum class RowKind : char { kMapped = 1, kSnapshot = 2 };

// The start of a chain that reads the rows of one kind.
template <RowKind kind, Record T>
struct RowsOfKind {
  using Out = View<T>;

  template <class Sink>
  SLUICE_INLINED
  void Drive(const TaskContext&, std::span<const BatchView> batches, Sink&& sink) const {
    Out row{};
    for (const BatchView& batch : batches) {
      for (uint32_t i = 0; i < batch.count; ++i) {
        const std::string_view record = batch.record(i);
        if (record.empty() || record[0] != static_cast<char>(kind)) continue;
        ByteReader in{record.data() + 1, record.data() + record.size()};
        if (!RecordCodec<T>::Take(in, row) || in.at != in.end) [[unlikely]] {
          ThrowBadRecord(RecordName<T>(), i, record.size());
        }
        sink(std::as_const(row));
      }
    }
  }
};

// The state holds one entry per key, due when its idle timeout is over.
template <class K, class V, class S, class F>
class MapWithStateOperator final : public PartitionOperator {
 public:
  using Mapper = StateMapper<K, V, S, F>;
  using Out = typename Mapper::Out;
  using Initial = std::vector<std::pair<K, S>>;

  // `snapshots` is settled when the job starts.
  MapWithStateOperator(F f, int64_t idle_ms, std::shared_ptr<const Initial> initial,
                       std::shared_ptr<const bool> snapshots)
      : mapper_(std::move(f)),
        idle_ms_(idle_ms),
        initial_(std::move(initial)),
        snapshots_(std::move(snapshots)) {}

  // Records in order, then timeouts, then the snapshot.
  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override {
    UserState state(*context.state);
    batch_ms_ = context.task.batch_ms;
    due_ms_ = idle_ms_ == 0 ? 0 : batch_ms_ + std::min(idle_ms_, INT64_MAX - batch_ms_);
    if (state.Begin()) PutInitial(*initial_, context, due_ms_, state);
    places_.Clear();
    touched_.clear();
    for (const Share& share : shares) MapRecords(share.records, state, out);
    Save(state);
    if (idle_ms_ != 0) TimeOut(state, out);
    if (*snapshots_) Snapshot(state, out);
  }
  uint32_t output_fixed_size() const override {
    return *snapshots_ || kFixedSize<Out> == 0 ? 0 : 1 + kFixedSize<Out>;
  }
  static std::string RecordTypes() {
    return RecordName<Out>() + " or " + RecordName<std::pair<K, S>>();
  }

 private:
  // A key of the batch, from its first record on.
  struct Touched {
    std::optional<S> state;
    bool stored = false;   // has an entry
    bool changed = false;  // the entry is not as it should be
  };

  void MapRecords(const BatchView& records, UserState& state, RecordBatch& out) {
    std::string_view key;
    View<V> value{};
    const bool prefetches = state.prefetches();
    for (uint32_t i = 0; i < records.count; ++i) {
      if (prefetches && i + kAhead < records.count) {
        const std::string_view later = records.record(i + kAhead);
        ByteReader in{later.data(), later.data() + later.size()};
        if (TakeKeyField<K>(in, key)) state.Prefetch(key);
      }
      TakePair<K, V>(records.record(i), key, value);
      bool added;
      auto& place = places_.FindOrAdd(key, added);
      if (added) {
        place.value = static_cast<uint32_t>(touched_.size());
        std::optional<S> before = DecodeState<S>(state.Get(key));
        const bool stored = before.has_value();
        touched_.push_back({std::move(before), stored, false});
      }
      Touched& touched = touched_[place.value];
      touched.changed |= mapper_.Map(key, value, touched.state,
                                     [&](const auto& row) { Emit(row, out); });
    }
  }

  // In the order of the keys' first records. Without a timeout a state that was only read stays.
  void Save(UserState& state) {
    const auto& entries = places_.entries();
    const bool prefetches = state.prefetches();
    for (size_t i = 0; i < entries.size(); ++i) {
      if (prefetches && i + kAhead < entries.size()) {
        state.Prefetch(places_.KeyOf(entries[i + kAhead]));
      }
      const auto& entry = entries[i];
      const Touched& touched = touched_[entry.value];
      if (!touched.changed && idle_ms_ == 0) continue;
      const std::string_view key = places_.KeyOf(entry);
      if (touched.state.has_value()) {
        encoded_.clear();
        EncodeRecord<S>(*touched.state, encoded_);
        state.Put(key, encoded_, due_ms_);
      } else if (touched.stored) {
        state.Remove(key);
      }
    }
  }

  // What the batch has touched is due later, so the rest of the due keys were idle.
  void TimeOut(UserState& state, RecordBatch& out) {
    state.ForEachDue(batch_ms_, [&](std::string_view key, std::string_view bytes) {
      std::optional<S> last = DecodeState<S>(bytes);
      mapper_.TimeOut(key, last, [&](const auto& row) { Emit(row, out); });
      state.Remove(key);
    });
  }

  void Snapshot(UserState& state, RecordBatch& out) {
    state.ForEach([&](std::string_view key, std::string_view bytes) {
      std::string& row = out.bytes();
      row.push_back(static_cast<char>(RowKind::kSnapshot));
      PutKeyField<K>(key, row);
      View<S> view{};
      if (!DecodeRecord<S>(bytes, view)) ThrowBadRecord(RecordName<S>(), 0, bytes.size());
      RecordCodec<S>::template Put<false>(view, row);
      CloseRecord(out);
    });
  }

  template <class Row>
  static void Emit(const Row& row, RecordBatch& out) {
    out.bytes().push_back(static_cast<char>(RowKind::kMapped));
    RecordCodec<Out>::template Put<false>(row, out.bytes());
    CloseRecord(out);
  }

  static constexpr uint32_t kAhead = 16;  // records or keys between hint and use

  Mapper mapper_;
  const int64_t idle_ms_;
  const std::shared_ptr<const Initial> initial_;
  const std::shared_ptr<const bool> snapshots_;
  int64_t batch_ms_ = 0;
  int64_t due_ms_ = 0;
  CombineTable<uint32_t> places_;  // of the batch's keys in touched_
  std::vector<Touched> touched_;
  std::string encoded_;
};

}  // namespace internal

// What MapWithState gives: a stream of what the function returned.
template <Record T, Record K, Record S>
class MapWithStateDStream
    : public DStream<T, internal::RowsOfKind<internal::RowKind::kMapped, T>> {
  using Mapped = DStream<T, internal::RowsOfKind<internal::RowKind::kMapped, T>>;

 public:
  MapWithStateDStream(const Mapped& mapped, std::shared_ptr<bool> snapshots)
      : Mapped(mapped), snapshots_(std::move(snapshots)) {}

  // (key, state) for all keys that have state after the batch, in the order in which they got it;
  // at every batch. Costs what is held. To be asked for before the job starts.
  auto StateSnapshots() const {
    using Access = internal::StreamAccess;
    const auto& graph = Access::graph(*this);
    if (!graph->frozen()) *snapshots_ = true;
    return Access::Make(graph, Access::parent(*this), "StateSnapshots",
                        internal::RowsOfKind<internal::RowKind::kSnapshot, std::pair<K, S>>{});
  }

 private:
  std::shared_ptr<bool> snapshots_;
};

namespace internal {

template <class T, class Chain>
struct StateMaps {
  using S = DStream<T, Chain>;

  template <class Declared, class F, class Options>
  static auto Add(const S& s, std::string name, F f, Options options) {
    constexpr bool kPairs = PairRecord<T>;
    constexpr bool kKnown = KnownMappedState<F, Declared>;
    static_assert(kPairs, "MapWithState needs a stream of pairs (key, value)");
    static_assert(kKnown,
                  "MapWithState cannot tell the type of the state: give the function a last "
                  "parameter of type sluice::State<S>& where S is a record, or write "
                  "MapWithState<S>(name, f)");
    if constexpr (kPairs && kKnown) {
      return AddTo<typename MappedStateOf<F, Declared>::type>(s, std::move(name), std::move(f),
                                                              std::move(options));
    }
  }

 private:
  template <class State, class F, class Options>
  static auto AddTo(const S& s, std::string name, F f, Options options) {
    using K = KeyOf<T>;
    using V = ValueOf<T>;
    using Call = StateMapCall<K, V, State, F>;
    static_assert(Call::kCallable,
                  "MapWithState needs f(key, std::optional<V> value, sluice::State<S>& state) or "
                  "f(sluice::BatchTime, key, value, state), where V is the type of the stream's "
                  "values");
    if constexpr (Call::kCallable) {
      ExplainRow<EmittedBy<Call>>();
      if constexpr (Row<EmittedBy<Call>>) {
        return AddNode<K, V, State>(s, std::move(name), std::move(f), std::move(options));
      }
    }
  }

  template <class K, class V, class State, class F, class Options>
  static auto AddNode(const S& s, std::string name, F f, Options options) {
    using Operator = MapWithStateOperator<K, V, State, F>;
    using Out = typename Operator::Out;
    const auto& graph = StreamAccess::graph(s);
    if (options.idle_timeout.count() < 0) {
      graph->Fail(3, "MapWithState " + name + ": idle_timeout must not be negative");
    }
    const auto snapshots = std::make_shared<bool>(false);
    const NodeId node = graph->AddShuffle(
        {.label = "MapWithState",
         .record_type = Operator::RecordTypes,
         .parent = StreamAccess::parent(s),
         .chain = &StreamAccess::operators(s),
         .shuffle = MakeShuffle<RouteByKeyKernel<Chain, K, V>>(StreamAccess::chain(s)),
         .partition_operator = MakeOperator<Operator>(
             std::move(f), int64_t{options.idle_timeout.count()},
             std::make_shared<const typename Operator::Initial>(
                 std::move(options.initial_state)),
             std::shared_ptr<const bool>(snapshots)),
         .partitions = Partitioning::Of<K>(options),
         .state_name = std::move(name),
         .state_type = RecordName<K>() + " -> " + RecordName<State>(),
         .name_in_label = true});
    return MapWithStateDStream<Out, K, State>(
        StreamAccess::Make(graph, node, "", RowsOfKind<RowKind::kMapped, Out>{}), snapshots);
  }
};

}  // namespace internal
}  // namespace sluice
