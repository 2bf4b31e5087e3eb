// What a relaunched job driver begins from, in tests.
#pragma once

#include <vector>

#include "driver/job/job_driver_core.h"
#include "gtest/gtest.h"

namespace sluice {

// All that a log has, as if no checkpoint had been taken.
inline RecoveredJob RecoveredFrom(const std::vector<proto::Entry>& log) {
  RecoveredJob recovered;
  for (const auto& entry : log) {
    if (entry.has_sealed()) continue;
    EXPECT_TRUE(recovered.state.Apply(entry).ok());
  }
  for (const auto& entry : log) {
    if (entry.has_decided()) recovered.state.SetPosition(entry.decided().batch_ms(), {1, 5});
  }
  recovered.next_slot = 1000;
  return recovered;
}

}  // namespace sluice
