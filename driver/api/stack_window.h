// Windows that are folded by key without an inverse.
#pragma once

#include <utility>
#include <vector>

#include "driver/api/pair_table.h"
#include "driver/api/state_fetch.h"
#include "driver/api/value_groups.h"
#include "driver/api/window_state.h"

namespace sluice::internal {

// The batches of such a window, oldest first: three stacks, each by its times. Borrowed state; one
// object serves one Run.
class WindowStacks {
 public:
  explicit WindowStacks(KeyedState& state);

  HeldBatches front;   // each with the fold of it and all later ones of the front
  HeldBatches middle;  // as they came; once turned they are
  HeldBatches turned;  // each with the fold of it and all later ones of the middle
  HeldBatches back;    // as they came

  bool has_middle() const { return !middle.empty() || !turned.empty(); }
  int64_t OldestOfMiddle() const;
  void DropFront(int64_t cutoff);
  // The middle's fold ('Q'), valid until the state changes or the next call.
  BatchView MiddleFold();
  void PutMiddleFold(const RecordBatch& fold);
  void RemoveMiddleFold();
  void Save();

 private:
  KeyedState& state_;
  std::string encoded_;
  std::vector<uint32_t> offsets_;
};

// Only associativity is needed. The back holds batches as they came, and their fold by key ('R').
// At some time it becomes the middle, with that fold as one batch ('Q'), and a new back begins.
// The middle is turned over in steps, newest first, so many at each slide that all is done when the
// front is used up; then it is the front. A window is the oldest entry of the front, the middle's
// fold and the back's. So a slide folds about five times as many pairs as there are keys, whatever
// the length, and none does the work of many. A window of few slides, and one that time has jumped
// over, turns all at once what is left.
template <class K, class V, class F>
class StackWindowOperator final : public PartitionOperator {
 public:
  StackWindowOperator(WindowSpan span, F f) : span_(span), batch_(f), suffix_{Table(f), Table(f)} {}

  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override {
    KeyedState& state = *context.state;
    WindowStacks stacks(state);
    const int64_t cutoff = span_.Cutoff(context.task);
    batch_.Clear();
    for (const Share& share : shares) batch_.Fold(share.records);
    batch_.Flush();
    if (context.task.batch_ms > cutoff && !batch_.table().entries().empty()) {
      AddToBack(state);
      stacks.back.Add(context.task.batch_ms, batch_.AsRecords());
    }
    if (context.emits) {
      Slide(context.task.batch_ms, cutoff, state, stacks);
      Emit(state, stacks, out);
    }
    stacks.Save();
  }
  uint32_t output_fixed_size() const override { return kFixedSize<std::pair<K, V>>; }

  // The stacks of former partitions were turned over at different times: all of it is moved to the
  // front, and the fronts are joined.
  bool spreads() const override { return true; }
  void TakeOver(const Spreading& spreading, KeyedState& former, KeyedState& to) override {
    WindowStacks of(former);
    std::vector<TimedBatch> folds;
    int newest = 0;  // which of the two tables has the fold of all that is later
    suffix_[0].Clear();
    suffix_[0].Flush();
    const auto add = [&](int64_t time_ms, const BatchView& pairs) {
      Table& fold = suffix_[newest ^ 1];
      const auto& later = suffix_[newest].table();
      fold.Clear();
      FoldMine(spreading, pairs, fold);
      for (const auto& entry : later.entries()) fold.Fold(later.KeyOf(entry), entry.value);
      fold.Flush();
      if (!fold.AsRecords().empty()) folds.push_back({time_ms, fold.AsRecords()});
    };
    const auto add_each = [&](HeldBatches& as_they_came) {
      const std::vector<int64_t>& times = as_they_came.times();
      for (size_t i = times.size(); i-- > 0; newest ^= 1) add(times[i], as_they_came.Get(times[i]));
    };
    const auto add_folds = [&](HeldBatches& turned) {  // the oldest is the fold of all
      const std::vector<int64_t>& times = turned.times();
      for (size_t i = times.size(); i-- > 0;) add(times[i], turned.Get(times[i]));
      if (!turned.empty()) newest ^= 1;
    };
    add_each(of.back);
    add_folds(of.turned);
    add_each(of.middle);
    add_folds(of.front);
    JoinFronts(std::move(folds), to, output_fixed_size());
  }

 private:
  using Table = PairTable<K, V, F>;

  static void FoldMine(const Spreading& spreading, const BatchView& pairs, Table& table) {
    ForEachPair<K, V>(pairs, [&](std::string_view key, const View<V>& value) {
      if (spreading.Takes(key)) table.Fold(key, value);
    });
    table.Flush();
  }

  void AddToBack(KeyedState& state) {
    View<V> view{};
    V total{};
    const auto& entries = batch_.table().entries();
    for (size_t i = 0; i < entries.size(); ++i) {
      const auto& entry = entries[i];
      fetch_.At(state, i, entries.size(), [&](size_t at, std::string& out) {
        out.append(1, 'R').append(batch_.table().KeyOf(entries[at]));
      });
      entry_key_.assign(1, 'R').append(batch_.table().KeyOf(entry));
      KeyedState::Place place;
      const std::string_view bytes = state.Look(entry_key_, KeyHash(entry_key_), place);
      encoded_.clear();
      if (bytes.data() != nullptr) {
        DecodeField<V>(bytes, view);
        AssignOwned(total, std::as_const(view));
        batch_.folder().Add(total, entry.value);
        RecordCodec<V>::template Put<false>(total, encoded_);
      } else {
        RecordCodec<V>::template Put<false>(entry.value, encoded_);
      }
      state.PutAt(place, entry_key_, encoded_, 0);
    }
  }

  // What leaves, leaves; and some of the middle is turned over.
  void Slide(int64_t batch_ms, int64_t cutoff, KeyedState& state, WindowStacks& stacks) {
    stacks.DropFront(cutoff);
    while (stacks.front.empty()) {
      if (!stacks.has_middle() && !stacks.back.empty() && stacks.back.times().front() <= cutoff) {
        MakeMiddle(state, stacks);
      }
      if (!stacks.has_middle() || stacks.OldestOfMiddle() > cutoff) break;
      TurnOver(SIZE_MAX, cutoff, stacks);
      stacks.turned.MoveAllTo(stacks.front);
      stacks.RemoveMiddleFold();
      stacks.DropFront(cutoff);
      if (!stacks.back.empty()) MakeMiddle(state, stacks);
    }
    if (!stacks.has_middle() && IsHalf(batch_ms, cutoff, stacks.back)) MakeMiddle(state, stacks);
    if (stacks.middle.empty()) return;
    // Slides, this one among them, until the middle's oldest leaves.
    const int64_t slides =
        (stacks.OldestOfMiddle() - cutoff + span_.slide_ms - 1) / span_.slide_ms;
    const auto left = static_cast<int64_t>(stacks.middle.times().size());
    TurnOver(static_cast<size_t>((left + slides - 1) / slides), cutoff, stacks);
  }

  // A window that fills up: half of it is turned over while the other half comes. Not where its
  // oldest leaves at the next slide anyway.
  bool IsHalf(int64_t batch_ms, int64_t cutoff, const HeldBatches& back) const {
    if (back.empty() || back.times().front() <= cutoff + span_.slide_ms) return false;
    return 2 * (batch_ms - back.times().front()) >= span_.length_ms;
  }

  void MakeMiddle(KeyedState& state, WindowStacks& stacks) {
    RecordBatch fold(output_fixed_size());
    state.ForEach([&](std::string_view key, std::string_view value) {
      if (key[0] != 'R') return;
      PutKeyField<K>(key.substr(1), fold.bytes());
      fold.bytes().append(value);
      CloseRecord(fold);
      entry_key_ = key;
      state.Remove(entry_key_);
    });
    stacks.PutMiddleFold(fold);
    stacks.back.MoveAllTo(stacks.middle);
  }

  // At most `count` batches of the middle; none that are no longer in a window.
  void TurnOver(size_t count, int64_t cutoff, WindowStacks& stacks) {
    Table& fold = suffix_[0];
    for (; count > 0 && !stacks.middle.empty(); --count) {
      const int64_t time_ms = stacks.middle.times().back();
      if (time_ms <= cutoff) {
        while (!stacks.middle.empty()) stacks.middle.RemoveOldest();
        break;
      }
      fold.Clear();
      fold.Fold(stacks.middle.Get(time_ms));
      if (!stacks.turned.empty()) fold.Fold(stacks.turned.Get(stacks.turned.times().front()));
      fold.Flush();
      stacks.middle.RemoveNewest();
      stacks.turned.AddOldest(time_ms, fold.AsRecords());
    }
  }

  void Emit(KeyedState& state, WindowStacks& stacks, RecordBatch& out) {
    Table& total = suffix_[0];
    total.Clear();
    if (!stacks.front.empty()) total.Fold(stacks.front.Get(stacks.front.times().front()));
    if (stacks.has_middle()) total.Fold(stacks.MiddleFold());
    View<V> view{};
    state.ForEach([&](std::string_view key, std::string_view bytes) {
      if (key[0] != 'R') return;
      DecodeField<V>(bytes, view);
      total.Fold(key.substr(1), std::as_const(view));
    });
    total.Flush();
    total.WriteTo(out);
  }

  const WindowSpan span_;
  Table batch_;
  Table suffix_[2];
  std::string entry_key_;
  std::string encoded_;
  StateFetch fetch_;
};

}  // namespace sluice::internal
