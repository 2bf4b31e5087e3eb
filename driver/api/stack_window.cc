#include "driver/api/stack_window.h"

#include <stdexcept>

namespace sluice::internal {
namespace {

constexpr std::string_view kMiddleFold = "Q";

}  // namespace

WindowStacks::WindowStacks(KeyedState& state)
    : front(state, 'N', 'F'),
      middle(state, 'O', 'B'),
      turned(state, 'P', 'F'),
      back(state, 'M', 'B'),
      state_(state) {}

int64_t WindowStacks::OldestOfMiddle() const {
  return middle.empty() ? turned.times().front() : middle.times().front();
}

void WindowStacks::DropFront(int64_t cutoff) {
  while (!front.empty() && front.times().front() <= cutoff) front.RemoveOldest();
}

BatchView WindowStacks::MiddleFold() {
  const auto encoded = state_.Get(kMiddleFold);
  const auto fold = encoded.has_value() ? DecodeBatch(*encoded, offsets_) : std::nullopt;
  if (!fold.has_value()) throw std::runtime_error("a window has lost the fold of its middle");
  return *fold;
}

void WindowStacks::PutMiddleFold(const RecordBatch& fold) {
  encoded_.clear();
  EncodeBatch(fold.view(), encoded_);
  state_.Put(kMiddleFold, encoded_);
}

void WindowStacks::RemoveMiddleFold() { state_.Remove(kMiddleFold); }

void WindowStacks::Save() {
  for (HeldBatches* stack : {&front, &turned, &middle, &back}) stack->Save();
}

}  // namespace sluice::internal
