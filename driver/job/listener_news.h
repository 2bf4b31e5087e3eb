// Hands the core's news to the listeners of the program.
#pragma once

#include "common/clock.h"
#include "common/plan/graph.h"
#include "driver/api/listener_bus.h"
#include "driver/job/commands.h"

namespace sluice {

// Not thread-safe. `graph`, `clock` and `bus` outlive it; without a bus nothing is told.
class ListenerNews {
 public:
  ListenerNews(const LineageGraph* graph, Clock* clock, internal::ListenerBus* bus)
      : graph_(graph), clock_(clock), bus_(bus) {}
  void Tell(const BatchNews& news);
  void Tell(const OutputNews& news);
  void Tell(const ReceiverNews& news);

 private:
  // On the wall clock; -1 for 0.
  int64_t WallMs(MonotonicTime time) const;

  const LineageGraph* const graph_;
  Clock* const clock_;
  internal::ListenerBus* const bus_;
};

}  // namespace sluice
