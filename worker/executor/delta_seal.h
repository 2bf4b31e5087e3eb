// How an executor asks its daemon to seal a delta, and hears that it has.
#pragma once

#include <cstdint>

#include "proto/cluster.pb.h"
#include "worker/executor/executor_events.h"

namespace sluice {

// As one slice that travels in the message; its number stands where an arena's offset would.
proto::Envelope MessageOf(const SealDelta& seal);

}  // namespace sluice
