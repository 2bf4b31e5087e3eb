#include "bench/whole_job.h"

#include <cstdio>
#include <cstdlib>

namespace sluice::bench {
namespace {

using namespace std::chrono_literals;

double ThreadSeconds(const std::function<void()>& body) {
  const double start = ThreadCpuSeconds();
  if (body) body();
  return ThreadCpuSeconds() - start;
}

}  // namespace

JobOptions WholeJobOptions(std::string checkpoint_interval) {
  return {.name = "bench",
          .batch_interval = 250ms,
          .conf = {{"checkpoint_interval", std::move(checkpoint_interval)}, {"partitions", "8"}}};
}

void Require(const Outcome& outcome) {
  if (outcome.ok()) return;
  std::fprintf(stderr, "%s\n", outcome.message.c_str());
  std::exit(outcome.exit_code);
}

PassRates RunPasses(StreamingContext& ssc, FeedGate& gate, uint64_t records, const Passes& passes,
                    const std::string& what) {
  Require(ssc.Start());
  std::vector<double> job, o2, native;
  uint64_t batches = 0;
  for (int run = 0; run <= passes.runs; ++run) {
    if (passes.prepare) passes.prepare();
    const uint64_t before = gate.batches();
    const double start = ProcessCpuSeconds();
    gate.AllowPass();
    gate.AwaitDecided();
    job.push_back(ProcessCpuSeconds() - start);
    batches = gate.batches() - before;
    o2.push_back(ThreadSeconds(passes.floor_o2));
    native.push_back(ThreadSeconds(passes.floor_native));
    RequireEqual(passes.equal(), what);
    if (run == 0) job.clear(), o2.clear(), native.clear();
  }
  gate.Close();
  Require(ssc.Stop());
  const auto rate = [&](std::vector<double> seconds, bool measured = true) {
    return measured ? static_cast<double>(records) / Median(std::move(seconds)) * 1e-6 : 0;
  };
  const auto ratio = [&](const std::vector<double>& floor, bool measured) {
    std::vector<double> rounds;
    for (size_t i = 0; measured && i < job.size(); ++i) rounds.push_back(floor[i] / job[i]);
    return measured ? Median(std::move(rounds)) : 0;
  };
  const bool has_o2{passes.floor_o2}, has_native{passes.floor_native};
  return {.job = rate(job),
          .floor_o2 = rate(o2, has_o2),
          .floor_native = rate(native, has_native),
          .ratio_o2 = ratio(o2, has_o2),
          .ratio_native = ratio(native, has_native),
          .batches = batches};
}

void Show(const std::string& what, const PassRates& rates, const std::string& unit) {
  Show({what, rates.job, unit, rates.floor_o2, rates.floor_native,
        "equal; " + std::to_string(rates.batches) + " batches/pass", rates.ratio_o2,
        rates.ratio_native});
}

}  // namespace sluice::bench
