// For tests of the executor's core: a small graph, messages by hand, and a cluster of cores that a
// test drives message by message.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/executor/executor_core.h"

namespace sluice {

inline constexpr uint64_t kTestJob = 77;
inline constexpr const char* kTestDriver = "driver:1";

// lines -> ReduceByKey (state) -> Print; with `slide`, the shuffle's output feeds a second one
// that emits at every second batch only.
inline LineageGraph TestGraph() {
  LineageGraph graph;
  Node source;
  source.kind = NodeKind::kSource;
  source.label = "lines";
  const NodeId lines = graph.AddNode(std::move(source));
  Node reduce;
  reduce.kind = NodeKind::kShuffle;
  reduce.label = "ReduceByKey";
  reduce.state_name = "counts";
  reduce.inputs.push_back({lines, "Map", nullptr, nullptr});
  const NodeId counts = graph.AddNode(std::move(reduce));
  Output print;
  print.label = "Print";
  print.parent = counts;
  graph.AddOutput(std::move(print));
  return graph;
}

inline std::string TestAddress(uint32_t executor) { return "e" + std::to_string(executor) + ":1"; }

inline proto::Generation TestGeneration(uint64_t epoch, uint64_t number) {
  proto::Generation generation;
  generation.set_epoch(epoch);
  generation.set_number(number);
  return generation;
}

inline GrantIn TestGrant(uint64_t number, const std::vector<uint32_t>& executors,
                         int64_t manifest_ms = 0) {
  GrantIn event;
  *event.grant.mutable_generation() = TestGeneration(1, number);
  event.grant.set_job_instance(kTestJob);
  event.grant.set_manifest_batch_ms(manifest_ms);
  for (const uint32_t executor : executors) {
    auto& member = *event.grant.add_members();
    member.set_executor(executor);
    member.set_address(TestAddress(executor));
    member.set_slots(1);
    member.set_worker_id("w" + std::to_string(executor));
  }
  return event;
}

// `own` are the map tasks of the receiver, of `total`.
inline proto::GrantedBatch TestBatch(int64_t batch_ms, std::vector<uint32_t> own, uint32_t total,
                                     int64_t previous_ms) {
  proto::GrantedBatch batch;
  batch.set_batch_ms(batch_ms);
  batch.set_previous_ms(previous_ms);
  auto& stage = *batch.add_stages();
  stage.set_stage(0);
  stage.set_total_tasks(total);
  for (const uint32_t task : own) stage.add_tasks()->set_task(task);
  return batch;
}

inline BatchGrantIn TestBatchGrant(uint64_t number, std::vector<proto::GrantedBatch> batches,
                                   int64_t decided_ms = 0) {
  BatchGrantIn event;
  *event.grant.mutable_generation() = TestGeneration(1, number);
  event.grant.set_decided_ms(decided_ms);
  for (auto& batch : batches) *event.grant.add_batches() = std::move(batch);
  return event;
}

inline std::shared_ptr<proto::ShareBundle> TestBundle(uint64_t number, int64_t batch_ms,
                                                      uint32_t from) {
  auto bundle = std::make_shared<proto::ShareBundle>();
  *bundle->mutable_generation() = TestGeneration(1, number);
  bundle->set_job_instance(kTestJob);
  bundle->set_batch_ms(batch_ms);
  bundle->set_stage(0);
  bundle->set_from_executor(from);
  bundle->set_last_chunk(true);
  return bundle;
}

inline void AddTestShare(proto::ShareBundle& bundle, uint32_t task, uint32_t partition) {
  auto& share = *bundle.add_shares();
  share.set_task(task);
  share.set_partition(partition);
  share.set_records(1);
  share.set_batch("b");
}

// The tasks of a command, each ended well; map tasks have one record for each partition.
inline TasksEnded EndWell(const RunTasks& run, uint32_t partitions) {
  TasksEnded ended{run.generation, run.batch_ms, run.stage, {}, {}};
  for (const TaskWork& work : run.tasks) {
    TaskResult& result = ended.results.emplace_back();
    result.task = work.task;
    if (run.stage == 0) {
      for (uint32_t p = 0; p < partitions; ++p) result.shares.push_back({0, p, 1, "b"});
    } else {
      uint64_t records = 0;
      for (const auto* share : work.shares) records += share->records();
      result.folded.emplace_back(0, records);
    }
  }
  return ended;
}

template <class T>
std::vector<T> Only(const ExecutorCore::Commands& commands) {
  std::vector<T> found;
  for (const auto& command : commands) {
    if (const T* one = std::get_if<T>(&command)) found.push_back(*one);
  }
  return found;
}

inline std::vector<proto::BatchReport> Reports(const ExecutorCore::Commands& commands) {
  std::vector<proto::BatchReport> reports;
  for (const Send& send : Only<Send>(commands)) {
    if (send.message.has_batch_report()) reports.push_back(send.message.batch_report());
  }
  return reports;
}

}  // namespace sluice
