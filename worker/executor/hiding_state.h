// A keyed state some of whose entries are not to be seen: an operator that runs on it neither
// calls user code for them nor changes them.
#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include "common/plan/kernel.h"
#include "common/plan/user_key.h"

namespace sluice {

// Borrows the state. `hides` says it of a user's key.
class HidingState final : public KeyedState {
 public:
  using Hides = std::function<bool(std::string_view user_key)>;
  HidingState(KeyedState* state, Hides hides) : state_(*state), hides_(std::move(hides)) {}

  std::optional<std::string_view> Get(std::string_view key) override { return state_.Get(key); }
  void Put(std::string_view key, std::string_view value) override { state_.Put(key, value); }
  void PutTimed(std::string_view key, std::string_view value, int64_t due_ms) override {
    state_.PutTimed(key, value, due_ms);
  }
  void Remove(std::string_view key) override { state_.Remove(key); }
  void ForEach(const Visitor& visit) override { state_.ForEach(OfVisible(visit)); }
  void ForEachDue(int64_t before_ms, const Visitor& visit) override {
    state_.ForEachDue(before_ms, OfVisible(visit));
  }
  std::string_view Look(std::string_view key, uint64_t hash, Place& place) override {
    return state_.Look(key, hash, place);
  }
  void PutAt(const Place& place, std::string_view key, std::string_view value,
             int64_t due_ms) override {
    state_.PutAt(place, key, value, due_ms);
  }
  Place Visited() const override { return state_.Visited(); }
  void Prefetch(std::span<const uint64_t> hashes) override { state_.Prefetch(hashes); }
  bool on_disk() const override { return state_.on_disk(); }
  void Fetch(std::span<const std::string_view> keys) override { state_.Fetch(keys); }
  int64_t DueOf(std::string_view key) override { return state_.DueOf(key); }
  uint64_t size() const override { return state_.size(); }

 private:
  Visitor OfVisible(const Visitor& visit) const {
    return [this, &visit](std::string_view key, std::string_view value) {
      if (IsEntryMark(key) || !hides_(UserKeyOf(key))) visit(key, value);
    };
  }

  KeyedState& state_;
  const Hides hides_;
};

}  // namespace sluice
