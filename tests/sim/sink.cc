#include "tests/sim/sink.h"

#include "tests/sim/site.h"

namespace sluice::sim {

void Sink::Write(const PartitionIdentity& identity, const BatchView& records) {
  Site& site = *site_;
  const std::string batch = std::to_string(identity.batch_ms);
  const auto& planned = site.log.planned();
  const auto& decided = site.log.decided();
  if (!planned.contains(identity.batch_ms)) {
    return site.Break("I15: an effect of batch " + batch + " before its plan is durable");
  }
  for (auto it = planned.begin(); *it < identity.batch_ms; ++it) {
    if (decided.contains(*it)) continue;
    return site.Break("I15: an effect of batch " + batch + " before batch " + std::to_string(*it) +
                      " is durably decided");
  }
  Written& written = written_[{identity.batch_ms, identity.partition}];
  if (identity.fence < written.fence) {
    site.world.Count("recovery: late effect refused by its fence");
    return;
  }
  if (decided.contains(identity.batch_ms)) {
    return site.Break("I15: an effect of batch " + batch + " after its decision");
  }
  if (written.fence != 0) site.world.Count("recovery: effect repeated");
  written.fence = identity.fence;
  written.rows.clear();
  for (uint32_t i = 0; i < records.count; ++i) written.rows.emplace_back(records.record(i));
}

const Sink::Rows* Sink::Find(int64_t batch_ms, uint32_t partition) const {
  const auto found = written_.find({batch_ms, partition});
  return found == written_.end() ? nullptr : &found->second.rows;
}

}  // namespace sluice::sim
