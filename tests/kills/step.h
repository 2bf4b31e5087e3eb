// In which step of a batch's life, or of a recovery, a job is, told only from what can be seen
// from outside: its log, the files that it stages, and the generations that its driver announces.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "tests/kills/job_log.h"

namespace sluice::kills {

enum class Step {
  kReceiving,      // all is published, and the log holds no block for the next batch yet
  kSealed,         // the log holds blocks for the next batch
  kPlanned,        // a composition is logged, nothing of it is staged yet
  kMapping,        // map tasks have staged output
  kReducing,       // reducers have staged output
  kDecided,        // a decision is logged, nothing of it is published yet
  kPublishing,     // some of its outputs are published
  kCheckpointing,  // state parts of a batch are written that no sealed checkpoint covers
  kLost,           // something that was killed is not yet answered by a new generation
  kGranted,        // a new generation is granted and has decided nothing yet
};

std::string_view NameOf(Step step);

// What is seen beside the log.
struct Sight {
  GenerationKey granted{};       // the last one that the job driver announced
  uint64_t members = 0;          // its executors
  GenerationKey lost_in{};       // the one in which the last kill fell that asks for a new one
  std::set<uint32_t> staged;     // outputs of which the first undecided batch has staged parts
  std::set<uint32_t> of_maps;    // outputs that map tasks write
  int64_t newest_part_ms = 0;    // batch of the newest state part of the granted generation
};

Step StepOf(const JobLog& log, const Sight& sight);

// Every kill is answered: a generation that began after it has decided a batch. Whoever is a member
// of that generation lives.
bool Answered(const JobLog& log, const Sight& sight);

// Planned and not decided, the first of them; 0: none.
int64_t FirstUndecided(const JobLog& log);

}  // namespace sluice::kills
