// Which objects of the received-data log no kept checkpoint needs.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/object_store.h"
#include "proto/log.pb.h"

namespace sluice {

struct ReceivedCollection {
  std::vector<std::string> needless;  // names of objects
  // Receivers, by stream and incarnation, with objects that the oldest checkpoint does not know:
  // added since, on their way, or left behind by the dead.
  std::set<std::pair<uint32_t, uint64_t>> unknown;
};

// `listed` under kReceivedFolder; `oldest` is the driver's part of the oldest kept checkpoint. An
// object is needed when that one still had its block, or when it may have come later. What is
// needless now is so for ever, so that a driver that was paused deletes nothing that its successor
// needs: block numbers of an incarnation only rise, and a forgotten one adds nothing.
ReceivedCollection CollectReceived(const std::vector<ObjectInfo>& listed,
                                   const proto::DriverState& oldest);

}  // namespace sluice
