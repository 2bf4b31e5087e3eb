#include "tests/sim/store_check.h"

#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_store.h"
#include "checkpoint/received_objects.h"
#include "common/status.h"

namespace sluice::sim {
namespace {

// Of the received-data log there is what the oldest checkpoint needs and what has come since. A
// collection may be under way, and the last blocks of a receiver may not be in the log yet.
void CheckCollected(Site& site, const JobState& state, const Manifest& oldest) {
  constexpr int kNeedless = 20, kUnlogged = 100;
  const auto received = site.objects.List(kReceivedFolder);
  proto::DriverState kept;
  if (!received.ok() || !kept.ParseFromString(oldest.driver_payload)) {
    return site.Break("I6: the oldest checkpoint cannot be read");
  }
  JobState then;
  then.Restore(kept);
  int needless = 0, unlogged = 0;
  for (const ObjectInfo& object : *received) {
    const std::optional<ReceivedName> name = ReceivedNameOf(object.name);
    if (!name.has_value()) continue;
    const bool covered = then.Forgotten(name->stream, name->incarnation) ||
                         name->number <= then.LastNumber(name->stream, name->incarnation);
    if (covered && !then.blocks().contains({name->stream, name->incarnation, name->number})) {
      ++needless;
    }
    if (name->number > state.LastNumber(name->stream, name->incarnation)) ++unlogged;
  }
  if (needless > kNeedless) {
    site.Break("I14: received blocks are not collected: " + std::to_string(needless));
  }
  if (unlogged > kUnlogged) {
    site.Break("I14: received blocks that the log lacks: " + std::to_string(unlogged));
  }
}

}  // namespace

void CheckStore(Site& site, const JobState& state) {
  CheckpointStore checkpoints(&site.objects, site.codec.get());
  const auto list = checkpoints.List();
  if (!list.ok()) return site.Break("I6: " + std::string(Message(list.status())));
  std::optional<Manifest> oldest;
  for (const CheckpointInfo& info : *list) {
    if (site.damaged.contains(info.name)) continue;
    const absl::Status status = checkpoints.Verify(info.name);
    if (!status.ok()) site.Break("I6: " + std::string(Message(status)));
    const auto manifest = checkpoints.ReadManifest(info.name);
    if (!oldest.has_value() && manifest.ok()) oldest = *manifest;
  }
  // Nobody collects behind the end.
  if (oldest.has_value() && !site.drained) CheckCollected(site, state, *oldest);
  auto objects = site.objects.List("");
  if (!objects.ok()) return;
  std::erase_if(*objects, [](const auto& object) {
    return object.name.starts_with(kKeptFolder) || object.name.starts_with(kLettersFolder) ||
           object.name.starts_with(kReceivedFolder);
  });
  if (objects->size() > 400) site.Break("I14: parts and manifests are not collected");
}

}  // namespace sluice::sim
