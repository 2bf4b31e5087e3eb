// The jobs of the cluster benchmarks. Each writes one line per batch to --folder/batches: the batch
// time in ms, the wall time in us at which its result was there, and what it sums to.
//
//   --job=grep | words | totals (word counts as state) | empty (two stages, no records)
//   --job=lookups (as totals; user code waits --wait-us for each line, as for somebody's answer,
//     --slow-times as long on a node where there is a file "slow" where the executor works)
//   --job=computed (as totals; user code takes --busy-us of a core for each line)
//   --job=due (one record in, one out over a shuffle; how late each is goes to --folder/delays)
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <thread>

#include "bench/jobs/replay.h"
#include "bench/jobs/scheduled.h"
#include "common/key_hash.h"

namespace {

using namespace std::chrono_literals;
using Counts = std::pair<std::string, int64_t>;

std::optional<int64_t> AddToTotal(std::span<const int64_t> counts, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t count : counts) sum += count;
  return sum;
}

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void Note(const std::string& folder, int64_t batch_ms, uint64_t total, uint64_t checksum) {
  const int64_t now_us = NowUs();
  if (FILE* file = std::fopen((folder + "/batches").c_str(), "a")) {
    std::fprintf(file, "%" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64 "\n", batch_ms, now_us,
                 total, checksum);
    std::fclose(file);
  }
}

int64_t ThreadCpuUs() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

template <class Stream>
void NoteCounts(const Stream& counts, const std::string& folder) {
  counts.ForeachBatch([folder](const sluice::Batch<Counts>& batch) {
    uint64_t total = 0, checksum = 0;
    batch.ForEach([&](const std::pair<std::string_view, int64_t>& row) {
      total += static_cast<uint64_t>(row.second);
      checksum += sluice::KeyHash(row.first) * static_cast<uint64_t>(row.second);
    });
    Note(folder, batch.time_ms(), total, checksum);
  });
}

// Each record is the moment at which it was due, and a key of its own.
void NoteDelays(sluice::StreamingContext& ssc, const std::string& folder) {
  const auto rate = static_cast<uint64_t>(ssc.args().GetInt("rate", 1'000));
  ssc.ReceiverStream(sluice::bench::Scheduled({.rate = rate, .folder = folder}))
      .Map([](int64_t due_us) { return std::pair{due_us, int64_t{1}}; })
      .ReduceByKey(std::plus<>())
      .ForeachBatch([folder](const sluice::Batch<std::pair<int64_t, int64_t>>& batch) {
        sluice::bench::Delays delays(NowUs());
        uint64_t total = 0;
        batch.ForEach([&](const std::pair<int64_t, int64_t>& row) {
          delays.Add(row.first, row.second);
          total += static_cast<uint64_t>(row.second);
        });
        delays.Note(folder, batch.time_ms());
        Note(folder, batch.time_ms(), total, 0);
      });
}

}  // namespace

void BuildJob(sluice::StreamingContext& ssc) {
  auto& args = ssc.args();
  const std::string job = args.Get("job");
  const std::string folder = args.Get("folder");
  if (job == "due") return NoteDelays(ssc, folder);
  sluice::bench::ReplayOptions replay;
  replay.folder = folder;
  replay.lines = static_cast<uint64_t>(args.GetInt("lines", 500'000));
  replay.vocabulary = static_cast<uint32_t>(args.GetInt("vocabulary", 10'000));
  replay.stop_after = static_cast<uint64_t>(args.GetInt("stop-after", 0));
  replay.rate = static_cast<uint64_t>(args.GetInt("rate", 0));
  replay.lines_per_store = static_cast<uint64_t>(args.GetInt("store", 16'384));
  replay.marked = job == "grep";
  if (job == "empty") {
    const sluice::RecordQueue<Counts> nothing({.test_only = true});
    auto counts = ssc.QueueStream(nothing).ReduceByKey(std::plus<>());
    return NoteCounts(counts, folder);
  }
  auto lines = ssc.ReceiverStream(sluice::bench::Replay(replay));
  if (job == "grep") {
    lines.Filter([](std::string_view line) { return line.find("zqxj") != std::string_view::npos; })
        .Count()
        .ForeachBatch([folder](const sluice::Batch<int64_t>& batch) {
          uint64_t found = 0;
          batch.ForEach([&](int64_t n) { found += static_cast<uint64_t>(n); });
          Note(folder, batch.time_ms(), found, 0);
        });
    return;
  }
  if (job == "computed") {
    const int64_t busy_us = args.GetInt("busy-us", 100);
    auto counts = lines.Filter([busy_us](std::string_view) {
                         const int64_t until = ThreadCpuUs() + busy_us;
                         while (ThreadCpuUs() < until) {
                         }
                         return true;
                       })
                      .FlatMap(sluice::SplitWords)
                      .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
                      .ReduceByKey(std::plus<>());
    return NoteCounts(counts.UpdateStateByKey("totals", AddToTotal), folder);
  }
  if (job == "lookups") {
    const std::chrono::microseconds wait(args.GetInt("wait-us", 500));
    const int64_t times = args.GetInt("slow-times", 1);
    auto counts = lines.Filter([wait, times](std::string_view) {
                         const bool slow = times > 1 && access("slow", F_OK) == 0;
                         std::this_thread::sleep_for(slow ? wait * times : wait);
                         return true;
                       })
                      .FlatMap(sluice::SplitWords)
                      .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
                      .ReduceByKey(std::plus<>());
    return NoteCounts(counts.UpdateStateByKey("totals", AddToTotal), folder);
  }
  auto counts = lines.FlatMap(sluice::SplitWords)
                    .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
                    .ReduceByKey(std::plus<>());
  if (job == "words") NoteCounts(counts, folder);
  else NoteCounts(counts.UpdateStateByKey("totals", AddToTotal), folder);
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "bench", .batch_interval = 100ms}, BuildJob);
}
