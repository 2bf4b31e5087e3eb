// Keyed state (B7) as a whole job in one process, fed by a receiver: a running sum for each key, a
// checkpoint every ten batches. batches_bench has the same job with batches of a size that it
// sets; its records come by a queue, which a job carries in its plan and log, and that is half of
// what they cost there.
//
//   state_bench [--records=N] [--runs=9] [--only=1e4|1e5|1e6|1e7]
#include <algorithm>

#include "bench/bench_main.h"
#include "bench/state_floors.h"
#include "bench/whole_job.h"

namespace sluice::bench {
namespace {

constexpr uint64_t kBytes = uint64_t{256} << 20;  // of one pass

std::vector<Delta> MakeDeltas(uint64_t keys, uint64_t count) {
  SplitMix64 random(42);
  std::vector<Delta> deltas(count);
  for (auto& [key, delta] : deltas) {
    key = static_cast<int64_t>(random.Below(keys));
    delta = static_cast<int64_t>(random.Below(7));
  }
  return deltas;
}

// So that the keys of a partition, and what a batch touches of them, stay in a processor's cache.
uint32_t PartitionsFor(uint64_t keys) {
  constexpr uint64_t kKeysOfPartition = 16'000;
  return static_cast<uint32_t>(std::clamp<uint64_t>(keys / kKeysOfPartition, 8, 128));
}

void Sums(uint64_t keys, uint64_t count, int runs) {
  const std::vector<Delta> deltas = MakeDeltas(keys, count);
  uint64_t grown = 0, by_o2 = 0, by_native = 0;
  FlatSums o2(keys), native(keys);
  WholeJob<Delta, Delta> job("B7 MapWithState, " + std::to_string(keys / 1000) + " K keys",
                             deltas, sizeof(Delta), WholeJobOptions("2500ms"));
  job.stream()
      .MapWithState("sums",
                    [](int64_t, std::optional<int64_t> delta, sluice::State<int64_t>& sum) {
                      const int64_t before = sum.GetOption().value_or(0);
                      sum.Update(before + *delta);
                      return Grown(before, sum.Get());
                    },
                    {.partitions = PartitionsFor(keys)})
      .Reduce(std::plus<>())
      .ForeachBatch([&](const Batch<uint64_t>& batch) {
        batch.ForEach([&](uint64_t sum) { grown += sum; });
      });
  job.RunAndShow({.runs = runs,
                  .floor_o2 = [&] { by_o2 += floors_o2::AddDeltas(deltas, o2); },
                  .floor_native = [&] { by_native += floors_native::AddDeltas(deltas, native); },
                  .equal = [&] { return grown == by_o2 && grown == by_native; }},
                 "M rec/CPU-s");
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  const BenchArgs args = BeginBench(argc, argv);
  if (args.Wants("1e4")) Sums(10'000, args.RecordsOr(kBytes / 16), args.runs);
  if (args.Wants("1e5")) Sums(100'000, args.RecordsOr(kBytes / 16), args.runs);
  if (args.Wants("1e6")) Sums(1'000'000, args.RecordsOr(kBytes / 16), args.runs);
  if (args.Wants("1e7")) Sums(10'000'000, args.RecordsOr(kBytes / 16), args.runs);
}
