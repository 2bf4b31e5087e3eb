// Which stages may be run twice in one batch, by two executors, with one of the runs thrown away
// (docs/straggler_copies.md). Job driver and executors must agree.
#pragma once

#include "common/plan/stages.h"

namespace sluice {

// Its tasks read input that anybody can read, touch no state, write nothing, and all that they
// leave behind are shares.
inline bool MayBeCopied(const Stage& stage) {
  return stage.is_source && stage.output_pieces.empty() && !stage.edges_out.empty();
}

}  // namespace sluice
