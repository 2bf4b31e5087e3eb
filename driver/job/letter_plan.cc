#include "driver/job/letter_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/encoded_batch.h"
#include "common/key_hash.h"
#include "common/plan/key_groups.h"

namespace sluice {
namespace {

bool IsRow(const proto::Letter& letter) { return letter.record() >= 0; }

absl::StatusOr<uint32_t> PartitionOfKey(const Node& node, const std::string& key,
                                        uint32_t key_groups, uint32_t partitions) {
  if (node.partitioner == nullptr) return PartitionOf(KeyHash(key), key_groups, partitions);
  try {
    return node.partitioner->PartitionOf(key, partitions);
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("whose key has no partition: ", e.what()));
  } catch (...) {
    return absl::InvalidArgumentError("whose key has no partition: its partitioner throws");
  }
}

// Of the letter's values, or its row, each as often as it has to be.
bool IsWhole(const Node& node, const proto::Letter& letter) {
  if (IsRow(letter)) return letter.fixed_size() == 0 || letter.raw().size() == letter.fixed_size();
  uint64_t values = 0;
  for (const auto& run : letter.runs()) {
    if (run.input() >= node.inputs.size()) return false;
    for (uint32_t i = 0; i < run.values(); ++i, ++values) {
      if (values >= static_cast<uint64_t>(letter.values_size())) return false;
      const uint64_t size = letter.values(static_cast<int>(values)).size();
      if (run.fixed_size() != 0 && size != run.fixed_size()) return false;
    }
  }
  return values == static_cast<uint64_t>(letter.values_size());
}

bool HasPlaceAt(const StagePlan& plan, StageId stage, const proto::Letter& letter, int64_t tick) {
  if (IsRow(letter)) return plan.Emits(plan.stages()[stage].root, tick);
  const auto& edges = plan.stages()[stage].edges_in;
  return std::all_of(edges.begin(), edges.end(), [&](EdgeId edge) {
    return plan.Emits(plan.fragments()[plan.edges()[edge].from].node, tick);
  });
}

void Add(const proto::Letter& letter, const LetterPlace& place, EncodedBatch records,
         uint32_t input, proto::Composition& composition) {
  proto::LetterInput& added = *composition.add_letters();
  added.set_letter_batch_ms(letter.batch_ms());
  added.set_letter_number(letter.number());
  added.set_stage(place.stage);
  added.set_partition(place.partition);
  added.set_input(input);
  added.set_is_row(IsRow(letter));
  added.mutable_records()->set_records(records.count());
  added.mutable_records()->set_batch(records.Take());
}

}  // namespace

absl::StatusOr<LetterPlace> PlaceOfLetter(const StagePlan& plan, uint32_t key_groups,
                                          const proto::Letter& letter) {
  const std::string& key = letter.operator_key();
  if (key.empty()) {
    return absl::NotFoundError("which a former release kept without saying where it belongs");
  }
  if (!IsRow(letter) && letter.values().empty()) {
    return absl::NotFoundError("a key for which nothing had come: there is nothing to run again");
  }
  const auto found = std::find_if(plan.stages().begin(), plan.stages().end(), [&](const auto& s) {
    return !s.is_source && plan.OperatorKey(s.id) == key;
  });
  if (found == plan.stages().end()) {
    return absl::NotFoundError(absl::StrCat("whose operator is not in the program: ", key));
  }
  const Node& node = plan.graph().node(found->root);
  const std::string type = IsRow(letter) ? node.record_type : plan.ShareType(found->id);
  if (letter.record_type() != type) {
    return absl::InvalidArgumentError(absl::StrCat("of records ", letter.record_type(),
                                                   ", where operator ", key, " has ", type));
  }
  if (!IsWhole(node, letter)) return absl::InvalidArgumentError("which is not whole");
  if (IsRow(letter)) return LetterPlace{found->id, letter.task() % found->partitions};
  const auto partition = PartitionOfKey(node, letter.key(), key_groups, found->partitions);
  if (!partition.ok()) return partition.status();
  return LetterPlace{found->id, *partition};
}

void PlanLetters(const StagePlan& plan, const JobState& state, proto::Composition& composition) {
  const proto::JobBegun& job = state.job();
  for (const proto::Letter& letter : state.letters().behind()) {
    const auto place = PlaceOfLetter(plan, job.key_groups(), letter);
    const int64_t tick = (composition.batch_ms() - job.zero_ms()) / job.batch_interval_ms();
    if (!place.ok() || !HasPlaceAt(plan, place->stage, letter, tick)) continue;
    if (IsRow(letter)) {
      EncodedBatch row(letter.fixed_size());
      row.Append(letter.raw());
      Add(letter, *place, std::move(row), 0, composition);
    }
    int next = 0;
    for (const auto& run : letter.runs()) {
      EncodedBatch values(run.fixed_size());
      for (uint32_t i = 0; i < run.values(); ++i) values.Append(letter.values(next++));
      Add(letter, *place, std::move(values), run.input(), composition);
    }
  }
}

}  // namespace sluice
