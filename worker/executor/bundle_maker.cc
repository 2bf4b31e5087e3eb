#include "worker/executor/bundle_maker.h"

#include <utility>

namespace sluice {
namespace {

// The bundle of one receiver as it grows.
class ChunkedBundle {
 public:
  ChunkedBundle(const BundleHead& head, uint64_t chunk_bytes)
      : head_(head), chunk_bytes_(chunk_bytes) {
    Open();
  }

  void Add(uint32_t task, OutShare&& share) {
    if (bytes_ > 0 && bytes_ + share.batch.size() > chunk_bytes_) Open();
    bytes_ += share.batch.size();
    proto::ShareBundle::Share& out = *chunks_.back()->add_shares();
    out.set_edge(share.edge);
    out.set_task(task);
    out.set_partition(share.partition);
    out.set_records(share.records);
    out.set_batch(std::move(share.batch));
  }
  BundleChunks Close() {
    proto::ShareBundle& last = *chunks_.back();
    last.set_last_chunk(true);
    last.set_took_us(head_.took_us);
    if (head_.copy.has_value()) *last.mutable_copy_result() = head_.copy_result;
    for (const auto& [task, executor] : head_.copied) {
      auto& copied = *last.add_copied();
      copied.set_task(task);
      copied.set_executor(executor);
    }
    return {chunks_.begin(), chunks_.end()};
  }

 private:
  void Open() {
    auto chunk = std::make_shared<proto::ShareBundle>();
    chunk->mutable_generation()->set_epoch(head_.generation.epoch);
    chunk->mutable_generation()->set_number(head_.generation.number);
    chunk->set_job_instance(head_.job_instance);
    chunk->set_batch_ms(head_.batch_ms);
    chunk->set_stage(head_.stage);
    chunk->set_from_executor(head_.from_executor);
    chunk->set_chunk(static_cast<uint32_t>(chunks_.size()));
    if (head_.copy.has_value()) *chunk->mutable_copy() = *head_.copy;
    chunks_.push_back(std::move(chunk));
    bytes_ = 0;
  }

  const BundleHead& head_;
  const uint64_t chunk_bytes_;
  std::vector<std::shared_ptr<proto::ShareBundle>> chunks_;
  uint64_t bytes_ = 0;
};

}  // namespace

std::vector<BundleChunks> MakeBundles(const BundleHead& head, const StagePlan& plan,
                                      const Ownership& owners, uint64_t chunk_bytes,
                                      std::vector<TaskResult>& results) {
  std::vector<ChunkedBundle> bundles;
  bundles.reserve(owners.members());
  for (uint32_t i = 0; i < owners.members(); ++i) bundles.emplace_back(head, chunk_bytes);
  for (TaskResult& result : results) {
    for (OutShare& share : result.shares) {
      const Stage& to = plan.stage_of(share.edge);
      const uint32_t owner = owners.OwnerOf(to.id, share.partition, to.partitions);
      bundles[owner].Add(result.task, std::move(share));
    }
    result.shares.clear();
  }
  std::vector<BundleChunks> closed;
  for (ChunkedBundle& bundle : bundles) closed.push_back(bundle.Close());
  return closed;
}

}  // namespace sluice
