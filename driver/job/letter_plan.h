// Where letters of what came over a shuffle go when they are run again.
#pragma once

#include "absl/status/statusor.h"
#include "common/plan/stages.h"
#include "driver/job/job_state.h"

namespace sluice {

struct LetterPlace {
  StageId stage = 0;
  uint32_t partition = 0;
};

// Of a key with its values the partition that the key has in this program, of a row the one of its
// number. Runs the program's partitioner. An error says why there is no place, as a clause behind
// the letter's name.
absl::StatusOr<LetterPlace> PlaceOfLetter(const StagePlan& plan, uint32_t key_groups,
                                          const proto::Letter& letter);

// Adds those that wait and have a place in the batch. An operator behind a window takes what came
// for it only where the window slides, and one that slides has rows only there.
void PlanLetters(const StagePlan& plan, const JobState& state, proto::Composition& composition);

}  // namespace sluice
