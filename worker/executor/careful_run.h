// Shared by the two halves of task_runner.h.
#pragma once

#include "common/plan/graph.h"

namespace sluice {

inline constexpr char kNoException[] = "threw something that is no std::exception";

// The edge's operator folds the values of each key, and its chain takes each record by itself: the
// shares of single records, one behind the other, are as good as those of the whole task.
bool RunsRecordByRecord(const Node& node, uint32_t input);

}  // namespace sluice
