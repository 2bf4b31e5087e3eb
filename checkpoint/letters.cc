#include "checkpoint/letters.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <tuple>

#include "checkpoint/checkpoint_store.h"
#include "common/status.h"

namespace sluice {

absl::StatusOr<std::vector<proto::Letter>> ReadLetters(ObjectStore* objects, uint64_t job_instance,
                                                       int64_t batch_ms) {
  ASSIGN_OR_RETURN(const std::vector<ObjectInfo> listed, objects->List(kLettersFolder));
  std::vector<proto::Letter> letters;
  for (const ObjectInfo& object : listed) {
    ASSIGN_OR_RETURN(const std::string text, objects->Get(object.name));
    proto::KeptLetters kept;
    if (!google::protobuf::TextFormat::ParseFromString(text, &kept)) {
      return absl::DataLossError(object.name + " in " + objects->Where() +
                                 " is no list of letters");
    }
    if (job_instance != 0 && kept.job_instance() != job_instance) continue;
    for (const proto::Letter& letter : kept.letters()) {
      if (batch_ms == 0 || letter.batch_ms() == batch_ms) letters.push_back(letter);
    }
  }
  std::stable_sort(letters.begin(), letters.end(), [](const auto& a, const auto& b) {
    return std::tuple(a.batch_ms(), a.number()) < std::tuple(b.batch_ms(), b.number());
  });
  return letters;
}

}  // namespace sluice
