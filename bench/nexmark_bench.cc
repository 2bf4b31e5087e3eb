// Nexmark (B6) as whole jobs in one process: q0 q1 q2 q3 q5 q7 q8, beside one single-thread program
// for each on the same events.
//
//   nexmark_bench [--records=N] [--runs=5] [--only=qN]
#include "bench/bench_main.h"
#include "bench/nexmark_floors.h"
#include "bench/nexmark_jobs.h"
#include "bench/whole_job.h"

namespace sluice::bench {
namespace {

void Query(int q, uint64_t count, int runs) {
  NexmarkEvents made = MakeNexmark(count);
  const std::span<const std::string_view> events(made.events);
  WholeJob<std::string, std::string_view> job("B6 Nexmark q" + std::to_string(q), events,
                                              made.bytes.size() / count);
  SharedRows out;
  NexmarkFloor o2, native;
  bool first = true;
  DeclareNexmark(q, job.stream(), out);
  const PassRates rates = job.Run(
      {.runs = runs,
       .prepare = [&] { if (!std::exchange(first, false)) AdvanceNexmark(made); },
       .floor_o2 = [&] { floors_o2::NexmarkFloorOf(q)(events, o2); },
       .floor_native = [&] { floors_native::NexmarkFloorOf(q)(events, native); },
       .equal = [&] { return out.Get() == o2.rows && o2.rows == native.rows; }});
  Show("B6 Nexmark q" + std::to_string(q) + ", " + std::to_string(o2.rows.count) + " rows", rates,
       "M events/CPU-s");
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  const BenchArgs args = BeginBench(argc, argv);
  const uint64_t count = args.RecordsOr(2'100'000) / 50 * 50;
  for (const int q : {0, 1, 2, 3, 5, 7, 8}) {
    if (args.Wants("q" + std::to_string(q))) Query(q, count, args.runs);
  }
}
