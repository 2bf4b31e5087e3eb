#include "tests/kills/step.h"

namespace sluice::kills {
namespace {

size_t OutputsToPublish(const proto::Decided& batch) {
  size_t count = 0;
  for (const auto& output : batch.outputs()) count += output.has_dataset() ? 1 : 0;
  return count;
}

Step StepInFlight(const Sight& sight) {
  if (sight.staged.empty()) return Step::kPlanned;
  for (const uint32_t output : sight.staged) {
    if (!sight.of_maps.contains(output)) return Step::kReducing;
  }
  return Step::kMapping;
}

}  // namespace

std::string_view NameOf(Step step) {
  switch (step) {
    case Step::kReceiving: return "receiving";
    case Step::kSealed: return "sealed";
    case Step::kPlanned: return "planned";
    case Step::kMapping: return "mapping";
    case Step::kReducing: return "reducing";
    case Step::kDecided: return "decided";
    case Step::kPublishing: return "publishing";
    case Step::kCheckpointing: return "checkpointing";
    case Step::kLost: return "lost";
    case Step::kGranted: return "granted";
  }
  return "";
}

int64_t FirstUndecided(const JobLog& log) {
  const int64_t last = log.decided.empty() ? 0 : log.decided.rbegin()->first;
  const auto next = log.planned.upper_bound(last);
  return next == log.planned.end() ? 0 : next->first;
}

bool Answered(const JobLog& log, const Sight& sight) {
  const Step step = StepOf(log, sight);
  return step != Step::kLost && step != Step::kGranted;
}

Step StepOf(const JobLog& log, const Sight& sight) {
  if (sight.granted <= sight.lost_in || sight.granted.first < log.epoch) return Step::kLost;
  if (sight.granted > log.decided_in) return Step::kGranted;
  if (sight.newest_part_ms > log.sealed_ms) return Step::kCheckpointing;
  if (FirstUndecided(log) != 0) return StepInFlight(sight);
  if (!log.decided.empty()) {
    const auto& [batch_ms, batch] = *log.decided.rbegin();
    const auto published = log.published.find(batch_ms);
    const size_t done = published == log.published.end() ? 0 : published->second.size();
    if (done < OutputsToPublish(batch)) return done == 0 ? Step::kDecided : Step::kPublishing;
  }
  return log.waiting.empty() ? Step::kReceiving : Step::kSealed;
}

}  // namespace sluice::kills
