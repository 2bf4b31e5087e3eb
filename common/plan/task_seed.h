// The seed of a task's random numbers: equal on every replay of the batch, in any process, and
// another one for every job instance, batch, stage and task.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

// One step of a chain of hashes; fixed, the same on every machine.
inline uint64_t MixSeed(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a ^ 0x9e3779b97f4a7c15u) *
                                    (b ^ 0xd1b54a32d192ed03u);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t TaskSeed(uint64_t job_instance, int64_t batch_ms, uint32_t stage, uint32_t task) {
  return MixSeed(MixSeed(job_instance, static_cast<uint64_t>(batch_ms)),
                 uint64_t{stage} << 32 | task);
}

// Where a union brings one task's records together twice, each way there has numbers of its own.
// A way is 0 until it passes a union.
inline uint64_t WayThrough(uint64_t way, size_t input, size_t inputs) {
  return inputs > 1 ? MixSeed(way, input + 1) : way;
}
inline uint64_t SeedOnWay(uint64_t task_seed, uint64_t way) {
  return way == 0 ? task_seed : MixSeed(task_seed, way);
}

}  // namespace sluice
