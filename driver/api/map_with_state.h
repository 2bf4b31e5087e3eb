// MapWithState: a function of every record that may read and change the state of the record's key.
#pragma once

#include <cstring>

#include "driver/api/dstream.h"
#include "driver/api/shuffle.h"
#include "driver/api/state_mapper.h"
#include "driver/api/touched_states.h"

namespace sluice {
namespace internal {

// ---- the operator ---------------------------------------------------------------------------

// The operator's dataset has rows of two kinds, told apart by their first byte: what the function
// emitted, and entries of the snapshot. Where nobody asks for snapshots, and all rows have one
// size, they are without that byte.
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
      if constexpr (kind == RowKind::kMapped && kFixedSize<T> != 0) {
        if (batch.fixed_size == kFixedSize<T>) {
          ForEachRecord<kFixedSize<T>>(batch, 0, batch.count, [&](std::string_view record)
                                                                  SLUICE_INLINED {
            if (!RecordCodec<T>::Read(record.data(), row)) [[unlikely]] {
              ThrowBadRecord(RecordName<T>(), 0, record.size());
            }
            sink(std::as_const(row));
          });
          continue;
        }
      }
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

  // `snapshots` is settled when the job starts.
  MapWithStateOperator(F f, int64_t idle_ms, std::shared_ptr<const InitialState> initial,
                       std::shared_ptr<bool> snapshots)
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
    if (state.Begin()) initial_->PutInto(state, context, due_ms_);
    places_.Clear();
    touched_.clear();
    order_.clear();
    rows_.Open(out);
    if (ManyOfEachKey(shares, state)) {
      if constexpr (kFlat) {
        flat_.Clear();
        for (const Share& share : shares) MapFlat(share.records, state, out);
        flat_.Save(idle_ms_ != 0, due_ms_, state);
      }
    } else {
      MapInPieces(shares, state, out);
      Save(state);
    }
    if (idle_ms_ != 0) TimeOut(state, out);
    rows_.Close();
    if (*snapshots_) Snapshot(state, out);
  }
  bool spreads() const override { return true; }
  void TakeOver(const Spreading& spreading, KeyedState& former, KeyedState& to) override {
    TakeOverUserState(spreading, former, to);
  }
  uint32_t output_fixed_size() const override {
    return *snapshots_ ? 0 : kFixedSize<Out>;
  }
  static std::string RecordTypes() {
    return RecordName<Out>() + " or " + RecordName<std::pair<K, S>>();
  }

 private:
  // A key of the batch whose state is kept decoded until the batch's records are over.
  struct Touched {
    std::optional<S> state;
    UserState::Place place;
    bool stored = false;   // has an entry
    bool changed = false;  // the entry is not as it should be
    bool ordered = false;  // is in order_
  };
  // Small keys and states of one size may be kept in a table of their own instead.
  static constexpr bool kFlat = kFitTouchedStates<K, S>;
  static constexpr uint32_t kFlatPiece = 128;  // TouchedStates::kPiece
  // A state that costs next to nothing to decode is read and changed where it lies.
  static constexpr bool kInPlace = kFixedSize<S> != 0 && kFixedSize<S> <= 64;

  // Then that table pays. There may be many of some keys all the same, which are in the cache.
  static bool ManyOfEachKey(std::span<const Share> shares, const UserState& state) {
    uint64_t records = 0;
    for (const Share& share : shares) records += share.records.count;
    return kFlat && records >= 2 * state.size();
  }

  // Some records at a time, so that the state's memory is asked for at once.
  void MapInPieces(std::span<const Share> shares, UserState& state, RecordBatch& out) {
    for (const Share& share : shares) {
      for (uint32_t i = 0; i < share.records.count; i += kPiece) {
        state.FetchAt(fetch_, i, share.records.count, [&](size_t at, std::string& key) {
          key += KeyOfPair<K, V>(share.records.record(static_cast<uint32_t>(at)));
        });
        MapPiece(share.records, i, std::min(i + kPiece, share.records.count), state, out);
      }
    }
  }

  // Records whose keys are looked up at once.
  struct Piece {
    uint32_t count = 0;
    const char* keys[kFlatPiece];
    uint64_t hashes[kFlatPiece];
    View<V> values[kFlatPiece];
  };

  // While one piece is mapped, the memory of the next is on its way.
  void MapFlat(const BatchView& records, UserState& state, RecordBatch& out) {
    Piece pieces[2];
    if (records.count != 0) TakePiece(records, 0, pieces[0]);
    for (uint32_t i = 0; i < records.count; i += kFlatPiece) {
      Piece& next = pieces[i / kFlatPiece % 2 ^ 1];
      if (i + kFlatPiece < records.count) TakePiece(records, i + kFlatPiece, next);
      state.FetchAt(fetch_, i, records.count, [&](size_t at, std::string& key) {
        key += KeyOfPair<K, V>(records.record(static_cast<uint32_t>(at)));
      });
      MapFlatPiece(pieces[i / kFlatPiece % 2], state, out);
    }
  }
  void TakePiece(const BatchView& records, uint32_t begin, Piece& piece) {
    piece.count = 0;
    const uint32_t end = std::min(begin + kFlatPiece, records.count);
    ForEachRecord<kFixedSize<std::pair<K, V>>>(
        records, begin, end, [&](std::string_view record) SLUICE_INLINED {
          std::string_view key;
          TakePair<K, V>(record, key, piece.values[piece.count]);
          piece.keys[piece.count++] = key.data();
        });
    flat_.Ask({piece.keys, piece.count}, piece.hashes);
  }
  void MapFlatPiece(const Piece& piece, UserState& state, RecordBatch& out) {
    uint32_t cells[kFlatPiece];
    flat_.Find({piece.keys, piece.count}, piece.hashes, state, cells);
    const auto map = [&](const auto& emit) SLUICE_INLINED {
      for (uint32_t i = 0; i < piece.count; ++i) {
        std::optional<S> one = flat_.Get(cells[i]);  // so that it may stay in registers
        if (mapper_.Map(flat_.KeyOf(cells[i]), piece.values[i], one, emit)) {
          flat_.Set(cells[i], one);
        }
      }
    };
    if constexpr (kFixedRow<Out>) {
      if (!*snapshots_) {
        char* at = rows_.Room(piece.count);
        map([&](const auto& row) SLUICE_INLINED {
          RecordCodec<Out>::template Write<false>(row, at);
          at += kFixedSize<Out>;
        });
        return rows_.Used(at);
      }
    }
    map([&](const auto& row) { Emit(row, out); });
  }

  void MapPiece(const BatchView& records, uint32_t begin, uint32_t end, UserState& state,
                RecordBatch& out) {
    uint64_t hashes[kPiece];
    uint32_t count = 0;
    ForEachRecord<kFixedSize<std::pair<K, V>>>(
        records, begin, end,
        [&](std::string_view record) SLUICE_INLINED { hashes[count++] = HashOf(record); });
    if (state.prefetches()) state.Prefetch(hashes, count);
    const uint64_t* hash = hashes;
    std::string_view key;
    View<V> value{};
    ForEachRecord<kFixedSize<std::pair<K, V>>>(
        records, begin, end, [&](std::string_view record) SLUICE_INLINED {
          TakePair<K, V>(record, key, value);
          MapRecord(key, *hash++, value, state, out);
        });
  }

  void MapRecord(std::string_view key, uint64_t hash, const View<V>& value, UserState& state,
                 RecordBatch& out) {
    if constexpr (kInPlace) {
      if (touched_.empty() || places_.Find(key) == nullptr) {
        return MapInPlace(key, hash, value, state, out);
      }
    }
    Touched& touched = Touch(key, hash, state);
    touched.changed |= mapper_.Map(key, value, touched.state,
                                   [&](const auto& row) { Emit(row, out); });
    if (touched.changed && touched.state.has_value() && !touched.ordered) {
      touched.ordered = true;
      order_.push_back(static_cast<uint32_t>(&touched - touched_.data()));
    }
  }

  // Of a key that is not in touched_. A key keeps its place if it is removed and updated within a
  // batch, so one that is removed goes on there.
  void MapInPlace(std::string_view key, uint64_t hash, const View<V>& value, UserState& state,
                  RecordBatch& out) {
    UserState::Place place;
    std::optional<S> one = DecodeState<S>(state.Look(key, hash, place));
    const bool stored = one.has_value();
    const bool changed =
        mapper_.Map(key, value, one, [&](const auto& row) { Emit(row, out); });
    if (!changed && (idle_ms_ == 0 || !stored)) return;
    if (one.has_value() && place.value != nullptr) {
      RecordCodec<S>::template Write<false>(*one, place.value);
    } else if (one.has_value()) {
      state.PutAt(place, key, EncodeState<S>(*one, encoded_), due_ms_);
    } else if (stored) {
      Touched& touched = Touch(key, hash, state);
      touched.state.reset();
      touched.changed = true;
    }
  }

  Touched& Touch(std::string_view key, uint64_t hash, UserState& state) {
    bool added;
    auto& entry = places_.FindOrAdd(key, added);
    if (added) {
      entry.value = static_cast<uint32_t>(touched_.size());
      Touched& touched = touched_.emplace_back();
      touched.state = DecodeState<S>(state.Look(key, hash, touched.place));
      touched.stored = touched.state.has_value();
    }
    return touched_[entry.value];
  }

  static uint64_t HashOf(std::string_view record) {
    const std::string_view key = KeyOfPair<K, V>(record);
    return HashOfKey<K>(key.data(), key.size());
  }

  void Save(UserState& state) {
    const auto save = [&](uint32_t place) {
      const Touched& touched = touched_[place];
      SaveOne(touched, places_.KeyOf(places_.entries()[place]), state);
    };
    for (const uint32_t place : order_) save(place);
    for (uint32_t place = 0; place < touched_.size(); ++place) {
      if (!touched_[place].ordered) save(place);
    }
  }
  // Without a timeout a state that was only read stays.
  void SaveOne(const Touched& touched, std::string_view key, UserState& state) {
    if (!touched.changed && idle_ms_ == 0) return;
    if (touched.state.has_value()) {
      state.PutAt(touched.place, key, EncodeState<S>(*touched.state, encoded_), due_ms_);
    } else if (touched.stored) {
      state.Remove(key);
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

  // Rows of one kind only, of one size, need no call each.
  template <class Row>
  void Emit(const Row& row, RecordBatch& out) {
    if constexpr (kFixedRow<Out>) {
      if (!*snapshots_) {
        return RecordCodec<Out>::template Write<false>(row, rows_.Next());
      }
    }
    if (kFixedSize<Out> == 0 || *snapshots_) {
      out.bytes().push_back(static_cast<char>(RowKind::kMapped));
    }
    RecordCodec<Out>::template Put<false>(row, out.bytes());
    CloseRecord(out);
  }

  static constexpr uint32_t kPiece = 32;  // records whose keys are asked for at once

  Mapper mapper_;
  const int64_t idle_ms_;
  const std::shared_ptr<const InitialState> initial_;
  const std::shared_ptr<bool> snapshots_;
  int64_t batch_ms_ = 0;
  int64_t due_ms_ = 0;
  KeyTable<K, uint32_t> places_;  // of keys in touched_, which has them in the same order
  std::vector<Touched> touched_;
  std::conditional_t<kFlat, TouchedStates<K, S>, char> flat_{};  // instead of these two
  std::vector<uint32_t> order_;    // places in touched_, by when they got a state in the batch
  std::string encoded_;
  StateFetch fetch_;
  RowAppender<kFixedSize<Out>> rows_;
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
    if (!Access::graph(*this)->frozen()) *snapshots_ = true;
    return Access::Make(Access::place(*this).Then("StateSnapshots"),
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
    if (options.idle_timeout.count() < 0) {
      StreamAccess::graph(s)->Fail(
          3, "MapWithState " + name + ": idle_timeout must not be negative");
    }
    const auto snapshots = std::make_shared<bool>(false);
    const StreamPlace place = AddShuffleNode(
        StreamAccess::place(s),
        {.label = "MapWithState",
         .record_type = Operator::RecordTypes,
         .shuffle = MakeShuffle<RouteByKeyKernel<Chain, K, V>>(StreamAccess::chain(s)),
         .partition_operator = MakeOperator<Operator>(
             std::move(f), int64_t{options.idle_timeout.count()},
             EncodeInitial(options.initial_state), snapshots),
         .partitions = Partitioning::Of<K>(options),
         .state_name = std::move(name),
         .state_type = StateType(RecordName<K>, RecordName<State>),
         .share_type = RecordName<std::pair<K, V>>,
         .name_in_label = true});
    return MapWithStateDStream<Out, K, State>(
        StreamAccess::Make(place, RowsOfKind<RowKind::kMapped, Out>{}), snapshots);
  }
};

}  // namespace internal
}  // namespace sluice
