// What a task executor gets from its daemon's socket, in the form in which the executor wants it:
// blocks mapped in place, and the board on which its slots write what they run.
#pragma once

#include <functional>
#include <memory>

#include "proto/cluster.pb.h"
#include "worker/executor/block_reader.h"
#include "worker/shm/fd_client.h"

namespace sluice {

// The block's bytes where the daemon has them in memory; null when it is not there, or is another
// than `block` says. The client outlives the function and what it returned.
std::function<std::unique_ptr<BlockBytes>(const proto::BlockInfo& block)> BlocksOfDaemon(
    FdClient* client);

// A board that the daemon reads after the executor has died.
std::unique_ptr<RunningTaskBoard> BoardOfDaemon(TaskBoard board);

}  // namespace sluice
