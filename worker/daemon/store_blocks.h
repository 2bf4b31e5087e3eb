// Blocks of a daemon in the same process, for tasks in it.
#pragma once

#include <functional>
#include <memory>

#include "proto/cluster.pb.h"
#include "worker/daemon/block_store.h"
#include "worker/executor/block_reader.h"

namespace sluice {

// The block in place, or read from its spill file; null when it is not there or is another than
// `block` says. The store outlives the function and what it returned.
std::function<std::unique_ptr<BlockBytes>(const proto::BlockInfo& block)> BlocksOfStore(
    BlockStore* store);

}  // namespace sluice
