#include "checkpoint/letters.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <compare>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint_store.h"
#include "common/status.h"

namespace sluice {

namespace {

struct NamedLetters {
  int64_t batch_ms = 0;
  std::string object;
  auto operator<=>(const NamedLetters&) const = default;
};

// In order of the batch. What is named otherwise holds no letters.
std::vector<NamedLetters> Chosen(const std::vector<ObjectInfo>& listed, uint64_t job_instance,
                                 int64_t batch_ms) {
  std::vector<NamedLetters> chosen;
  for (const ObjectInfo& object : listed) {
    const char* name = object.name.c_str() + std::strlen(kLettersFolder);
    unsigned long long instance = 0;
    long long ms = 0;
    if (std::sscanf(name, "%16llx-%lld", &instance, &ms) != 2) continue;
    if (job_instance != 0 && instance != job_instance) continue;
    if (batch_ms == 0 || ms == batch_ms) chosen.push_back({ms, object.name});
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace

absl::Status ForLetters(ObjectStore* objects, uint64_t job_instance, int64_t batch_ms,
                        const std::function<bool(proto::Letter letter)>& take) {
  ASSIGN_OR_RETURN(const std::vector<ObjectInfo> listed, objects->List(kLettersFolder));
  absl::Status damaged;
  for (const NamedLetters& named : Chosen(listed, job_instance, batch_ms)) {
    ASSIGN_OR_RETURN(const std::string text, objects->Get(named.object));
    proto::KeptLetters kept;
    if (!google::protobuf::TextFormat::ParseFromString(text, &kept)) {
      damaged.Update(absl::DataLossError(named.object + " in " + objects->Where() +
                                         " is no list of letters"));
      continue;
    }
    std::stable_sort(kept.mutable_letters()->begin(), kept.mutable_letters()->end(),
                     [](const auto& a, const auto& b) { return a.number() < b.number(); });
    for (proto::Letter& letter : *kept.mutable_letters()) {
      if (!take(std::move(letter))) return absl::OkStatus();
    }
  }
  return damaged;
}

}  // namespace sluice
