// Windows: Window, and ReduceByKeyAndWindow with and without an inverse. Each is a shuffle with
// state; a window's running values and the borders of its stacks are state too.
#pragma once

#include "driver/api/dstream.h"
#include "driver/api/pair_table.h"
#include "driver/api/shuffle.h"
#include "driver/api/stack_window.h"
#include "driver/api/state_fetch.h"
#include "driver/api/user_state.h"
#include "driver/api/window_state.h"

namespace sluice::internal {

// Holds the batches of the window and emits them, oldest first.
class WindowOperator final : public PartitionOperator {
 public:
  WindowOperator(WindowSpan span, uint32_t fixed_size) : span_(span), batch_(fixed_size) {}
  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override;
  uint32_t output_fixed_size() const override { return batch_.view().fixed_size; }
  // Records have no key here.
  bool spreads() const override { return true; }
  bool NeedsFormer(const Spreading& spreading) const override { return spreading.TakesWhole(); }
  void TakeOver(const Spreading& spreading, KeyedState& former, KeyedState& to) override;

 private:
  const WindowSpan span_;
  RecordBatch batch_;
};

struct KeepAll {};  // instead of a filter

// With an inverse: per key a running value and the number of the window's batches that hold it.
// What leaves is taken out before what comes is added; at presence 0 the key is dropped. With a
// filter, a key that it rejects at a slide is dropped too, with all that the window has of it.
template <class K, class V, class F, class G, class Filter = KeepAll>
class InverseWindowOperator final : public PartitionOperator {
 public:
  InverseWindowOperator(WindowSpan span, F f, G inverse, Filter filter = {})
      : span_(span),
        table_(std::move(f)),
        inverse_(std::move(inverse)),
        filter_(std::move(filter)) {}

  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override {
    KeyedState& state = *context.state;
    HeldBatches held(state, 'M', 'B');
    const int64_t cutoff = span_.Cutoff(context.task);
    while (!held.empty() && held.times().front() <= cutoff) {
      leaving_.Clear();
      AppendRecords(held.Get(held.times().front()), leaving_);
      Leave(state, held.times().front());
      held.RemoveOldest();
    }
    table_.Clear();
    for (const Share& share : shares) table_.Fold(share.records);
    table_.Flush();
    if (context.task.batch_ms > cutoff && !table_.table().entries().empty()) {
      Enter(state, context.task.batch_ms);
      held.Add(context.task.batch_ms, table_.AsRecords());
    }
    held.Save();
    if (context.emits) Emit(state, out);
  }
  uint32_t output_fixed_size() const override { return kFixedSize<std::pair<K, V>>; }
  bool spreads() const override { return true; }
  void TakeOver(const Spreading& spreading, KeyedState& former, KeyedState& to) override {
    TakeOverPairs<K>(spreading, former, to, output_fixed_size());
    former.ForEach([&](std::string_view entry_key, std::string_view running) {
      if (entry_key[0] == 'R' && spreading.Takes(entry_key.substr(1))) to.Put(entry_key, running);
    });
  }

 private:
  static constexpr bool kFilters = !std::same_as<Filter, KeepAll>;
  // A running entry is the presence, with a filter the time of the first batch that counts, and
  // the value as a field.
  static constexpr size_t kHead = sizeof(uint32_t) + (kFilters ? sizeof(int64_t) : 0);
  struct Running {
    uint32_t presence = 0;
    int64_t since_ms = 0;
    V value{};
  };

  bool Load(KeyedState& state, std::string_view key, Running& running) {
    entry_key_.assign(1, 'R').append(key);
    const std::string_view bytes = state.Look(entry_key_, KeyHash(entry_key_), place_);
    if (bytes.data() == nullptr) return false;
    ByteReader in{bytes.data(), bytes.data() + bytes.size()};
    View<V> view{};
    if (!in.Take(&running.presence, 4) || (kFilters && !in.Take(&running.since_ms, 8)) ||
        !RecordCodec<V>::Take(in, view)) {
      ThrowBadRecord(RecordName<V>(), 0, bytes.size());
    }
    AssignOwned(running.value, std::as_const(view));
    return true;
  }
  void Store(KeyedState& state, const Running& running) {  // of the key that was loaded
    encoded_.assign(reinterpret_cast<const char*>(&running.presence), 4);
    if (kFilters) encoded_.append(reinterpret_cast<const char*>(&running.since_ms), 8);
    RecordCodec<V>::template Put<false>(running.value, encoded_);
    state.PutAt(place_, entry_key_, encoded_, 0);
  }

  void Leave(KeyedState& state, int64_t time_ms) {
    Running running;
    const BatchView pairs = leaving_.view();
    uint32_t i = 0;
    ForEachPair<K, V>(pairs, [&](std::string_view key, const View<V>& partial) {
      fetch_.At(state, i++, pairs.count, [&](size_t at, std::string& out) {
        out.append(1, 'R').append(KeyOfPair<K, V>(pairs.record(static_cast<uint32_t>(at))));
      });
      if (!Load(state, key, running) || time_ms < running.since_ms) return;
      if (--running.presence == 0) return state.Remove(entry_key_);
      inverse_.Add(running.value, partial);
      Store(state, running);
    });
  }

  void Enter(KeyedState& state, int64_t time_ms) {
    Running running;
    const auto& entries = table_.table().entries();
    for (size_t i = 0; i < entries.size(); ++i) {
      const auto& entry = entries[i];
      fetch_.At(state, i, entries.size(), [&](size_t at, std::string& out) {
        out.append(1, 'R').append(table_.table().KeyOf(entries[at]));
      });
      if (Load(state, table_.table().KeyOf(entry), running)) {
        table_.folder().Add(running.value, entry.value);
        ++running.presence;
      } else {
        running = {1, time_ms, entry.value};
      }
      Store(state, running);
    }
  }

  void Emit(KeyedState& state, RecordBatch& out) {
    state.ForEach([&](std::string_view entry_key, std::string_view bytes) {
      if (entry_key[0] != 'R') return;
      if (!Keeps(entry_key.substr(1), bytes.substr(kHead))) {
        entry_key_ = entry_key;
        return state.Remove(entry_key_);
      }
      PutKeyField<K>(entry_key.substr(1), out.bytes());
      out.bytes().append(bytes.substr(kHead));
      CloseRecord(out);
    });
  }

  bool Keeps(std::string_view key, std::string_view value) {
    if constexpr (kFilters) {
      View<V> view{};
      DecodeField<V>(value, view);
      if constexpr (std::invocable<const Filter&, const View<K>&, const View<V>&>) {
        return Call(filter_, DecodeKey<K>(key), view);
      } else {
        return Call(filter_, ToOwned(DecodeKey<K>(key)), ToOwned(view));
      }
    }
    return true;
  }

  const WindowSpan span_;
  PairTable<K, V, F> table_;
  Folder<V, G> inverse_;
  [[no_unique_address]] const Filter filter_;
  RecordBatch leaving_{kFixedSize<std::pair<K, V>>};
  std::string entry_key_;
  KeyedState::Place place_;  // of the key that was loaded
  std::string encoded_;
  StateFetch fetch_;
};

template <class T, class Chain>
struct Windows {
  using S = DStream<T, Chain>;
  using K = KeyOf<T>;
  using V = ValueOf<T>;

  static DStream<T> Window(const S& s, WindowOptions window) {
    const Sliding sliding = Slide<void>(s, "Window", window);
    return Add<T>(s, sliding, "Window", "records ",
               MakeShuffle<KeepTogetherKernel<Chain>>(StreamAccess::chain(s)),
               MakeOperator<WindowOperator>(sliding.span, kFixedSize<T>));
  }

  template <class F>
  static DStream<T> Reduce(const S& s, F f, WindowOptions window) {
    const Sliding sliding = Slide<K>(s, "ReduceByKeyAndWindow", window);
    return Add<T>(s, sliding, "ReduceByKeyAndWindow", "stacks of ", Combined(s, f),
               MakeOperator<StackWindowOperator<K, V, F>>(sliding.span, f));
  }

  template <class F, class G>
  static DStream<T> ReduceInverse(const S& s, F f, G inverse, WindowOptions window) {
    const Sliding sliding = Slide<K>(s, "ReduceByKeyAndWindow", window);
    return Add<T>(s, sliding, "ReduceByKeyAndWindow", "running ", Combined(s, f),
               MakeOperator<InverseWindowOperator<K, V, F, G>>(sliding.span, f, inverse));
  }

  template <class F, class G, class Filter>
  static auto ReduceFiltered(const S& s, F f, G inverse, WindowOptions window, Filter filter) {
    const Sliding sliding = Slide<K>(s, "ReduceByKeyAndWindow", window);
    using Operator = InverseWindowOperator<K, V, F, G, Filter>;
    return Add<T>(s, sliding, "ReduceByKeyAndWindow", "filtered ", Combined(s, f),
                  MakeOperator<Operator>(sliding.span, f, inverse, filter));
  }

  // ---- for further windows ------------------------------------------------------------------

  struct Sliding {
    WindowSpan span;
    int64_t slide_batches;
    Partitioning partitions;
  };

  // `Key`: by which records are shuffled; void: by none.
  template <class Key>
  static Sliding Slide(const S& s, const std::string& what, WindowOptions window) {
    GraphBuilder* const graph = StreamAccess::graph(s);
    const int64_t own = StreamAccess::place(s).slide_batches();
    const int64_t interval = graph->batch_interval_ms();
    const int64_t length = graph->Batches(what + " length", window.length, own);
    const int64_t slide =
        window.slide.count() == 0 ? own : graph->Batches(what + " slide", window.slide, own);
    Partitioning partitions = window.partitions;
    if constexpr (std::is_void_v<Key>) partitions.fits = window.partitioner.function == nullptr;
    else partitions = Partitioning::Of<Key>(window);
    return {{length * interval, slide * interval}, slide, std::move(partitions)};
  }

  template <class Out>
  static DStream<Out> Add(const S& s, const Sliding& sliding, const char* label,
                          const char* state_kind,
                          std::shared_ptr<const ShuffleKernelFactory> shuffle,
                          std::shared_ptr<const PartitionOperatorFactory> partition_operator) {
    return StreamAccess::Stream<Out>(
        AddShuffleNode(StreamAccess::place(s),
                       {.label = label,
                        .record_type = RecordName<Out>,
                        .shuffle = std::move(shuffle),
                        .partition_operator = std::move(partition_operator),
                        .partitions = sliding.partitions,
                        .slide_batches = sliding.slide_batches,
                        .state_name = "window",
                        .state_type = std::to_string(sliding.span.length_ms) + " ms of " +
                                      state_kind + RecordName<Out>()}));
  }

 private:
  template <class F>
  static std::shared_ptr<const ShuffleKernelFactory> Combined(const S& s, F f) {
    return MakeShuffle<CombineKernel<Chain, PairSplit, K, V, F>>(StreamAccess::chain(s),
                                                                std::move(f));
  }
};

}  // namespace sluice::internal
