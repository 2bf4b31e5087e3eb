#include "driver/job/received_collection.h"

#include <map>
#include <optional>

#include "checkpoint/received_objects.h"

namespace sluice {

ReceivedCollection CollectReceived(const std::vector<ObjectInfo>& listed,
                                   const proto::DriverState& oldest) {
  std::set<ReceivedName> held;
  for (const auto& block : oldest.blocks()) {
    const proto::BlockName& name = block.block().name();
    held.insert({name.job_instance(), name.stream(), name.incarnation(), name.number()});
  }
  std::map<std::pair<uint32_t, uint64_t>, const proto::IncarnationPosition*> positions;
  for (const auto& position : oldest.incarnations()) {
    positions[{position.stream(), position.incarnation()}] = &position;
  }
  ReceivedCollection result;
  for (const ObjectInfo& object : listed) {
    const std::optional<ReceivedName> name = ReceivedNameOf(object.name);
    if (!name || name->job_instance != oldest.job().job_instance() || held.contains(*name)) {
      continue;
    }
    const auto position = positions.find({name->stream, name->incarnation});
    const bool known = position != positions.end();
    if (known && (position->second->forgotten() || name->number <= position->second->number())) {
      result.needless.push_back(object.name);
    } else {
      result.unknown.emplace(name->stream, name->incarnation);
    }
  }
  return result;
}

}  // namespace sluice
