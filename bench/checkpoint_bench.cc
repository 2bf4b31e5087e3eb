// What checkpoints cost (B11): a whole job in this process, its state on disk, batches of 20 ms,
// and a checkpoint every half second, in which a part of all keys has changed. Beside it the same
// job with no checkpoint but the last. The sums of all records are checked, also those that a
// second job restores. Then what such a job manages with a tenth of the keys changed in half a
// second, in turns with one that makes none, while what was received still fits in memory.
//
//   checkpoint_bench [--records=KEYS] [--only=changed|throughput]
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "bench/bench_main.h"
#include "bench/feed.h"
#include "bench/table.h"
#include "bench/whole_job.h"
#include "checkpoint/manifest.h"
#include "checkpoint/posix_object_store.h"
#include "sluice/sluice.h"

namespace sluice::bench {
namespace {

using namespace std::chrono_literals;
using Key = std::pair<int64_t, int64_t>;  // 16 bytes
using Row = std::pair<Key, int64_t>;

constexpr int kPassesPerInterval = 20;
constexpr int kIntervals = 8;
// A chain has no more increments than these before all is written anew (docs/formats.md): bytes are
// counted over so many, that one with them.
constexpr int kIntervalsOfAChain = 128;
constexpr uint64_t kEntryBytes = 24;
constexpr double kCores = 2;
constexpr uint64_t kRecordsOfARate = 100'000'000;
constexpr int kRounds = 5;

class Delays : public StreamingListener {
 public:
  void OnBatchCompleted(const BatchInfo& batch) override {
    std::lock_guard lock(mutex_);
    ms_.push_back(static_cast<double>(batch.processing_end_ms - batch.time_ms));
  }
  // Of the batches since the last call, ascending.
  std::vector<double> Take() {
    std::lock_guard lock(mutex_);
    std::sort(ms_.begin(), ms_.end());
    return std::exchange(ms_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<double> ms_;
};

// The checkpoints of a job, looked at from beside it.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / "sluice-checkpoint-bench") {
    std::filesystem::remove_all(path_);
    objects_ = *PosixObjectStore::Open(path_ / "objects");
  }
  ~Folder() { std::filesystem::remove_all(path_); }

  // Objects live for seconds: who looks after every batch sees them all.
  void Look() {
    const std::vector<ObjectInfo> objects = *objects_->List("");
    for (const ObjectInfo& object : objects) {
      if (!object.name.starts_with("manifest")) {
        parts_[object.name] = object.bytes;
      } else if (manifests_.insert(object.name).second) {
        LookAt(object.name);
      }
    }
  }
  uint64_t bytes() const {  // of all parts of state that were seen
    uint64_t bytes = 0;
    for (const auto& [name, size] : parts_) bytes += size;
    return bytes;
  }
  // From the tick of a checkpoint's batch until its manifest was last touched as it got its name,
  // by the kernel's coarse clock (4 ms); since the last call.
  std::vector<double> TakeDurableMs() { return std::exchange(durable_ms_, {}); }
  // Median of so many bytes written and synced behind one another.
  double SyncedWriteMs(uint64_t bytes) const {
    const std::string buffer(bytes, 'x');
    std::vector<double> ms;
    for (int i = 0; i < 9; ++i) {
      const auto begun = std::chrono::steady_clock::now();
      const int fd =
          open((path_ / "synced").c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
      if (write(fd, buffer.data(), bytes) != static_cast<ssize_t>(bytes) || fdatasync(fd) != 0) {
        std::perror("a synced write");
        std::exit(1);
      }
      close(fd);
      const std::chrono::duration<double, std::milli> took =
          std::chrono::steady_clock::now() - begun;
      ms.push_back(took.count());
    }
    return Median(std::move(ms));
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  void LookAt(const std::string& name) {
    const auto bytes = objects_->Get(name);
    struct stat status;
    if (!bytes.ok() || stat((path_ / "objects" / name).c_str(), &status) != 0) return;  // gone
    const double named_ms = static_cast<double>(status.st_ctim.tv_sec) * 1e3 +
                            static_cast<double>(status.st_ctim.tv_nsec) * 1e-6;
    durable_ms_.push_back(named_ms - static_cast<double>(DecodeManifest(*bytes)->batch_ms));
  }

  const std::filesystem::path path_;
  std::unique_ptr<PosixObjectStore> objects_;
  std::map<std::string, uint64_t> parts_;
  std::set<std::string> manifests_;
  std::vector<double> durable_ms_;
};

// A job that adds up deltas by key; `rows` may be changed between passes.
class Sums {
 public:
  Sums(const Folder& folder, const char* interval, std::span<const Row> rows)
      : gate_(std::make_shared<FeedGate>(rows.size(), rows.size())),
        delays_(std::make_shared<Delays>()),
        ssc_({.name = "bench",
              .batch_interval = 20ms,
              .checkpoint = "rocksdb:" + folder.path().string(),
              .conf = {{"checkpoint_interval", interval}, {"partitions", "8"},
                       {"initial_rate", "0"}}}) {
    auto sums = ssc_.ReceiverStream(FeedReceiver<Row, Row>(gate_.get(), rows, 1 << 16))
                    .MapWithState("sums", [](const Key&, std::optional<int64_t> delta,
                                             State<int64_t>& sum) {
                      sum.Update(sum.GetOption().value_or(0) + *delta);
                      return sum.Get();
                    });
    sums.Reduce([](int64_t a, int64_t b) { return a + b; })
        .ForeachBatch([this](const Batch<int64_t>& batch) {
          batch.ForEach([&](int64_t sum) { seen_ += static_cast<uint64_t>(sum); });
        });
    ssc_.AddListener(gate_);
    ssc_.AddListener(delays_);
    Require(ssc_.Start());
  }
  void Pass(int times = 1) {
    for (int i = 0; i < times; ++i) gate_->AllowPass();
    gate_->AwaitDecided();
  }
  Delays& delays() { return *delays_; }
  uint64_t seen() const { return seen_; }  // sum over all records of their key's sum behind them
  void Stop() {
    gate_->Close();
    Require(ssc_.Stop());
  }

 private:
  const std::shared_ptr<FeedGate> gate_;
  const std::shared_ptr<Delays> delays_;
  uint64_t seen_ = 0;
  StreamingContext ssc_;
};

double At(const std::vector<double>& ascending, double part) {
  return ascending[std::min(ascending.size() - 1,
                            static_cast<size_t>(part * static_cast<double>(ascending.size())))];
}

struct Cost {
  double cpu_s = 0;     // of one interval
  double p50_ms = 0, p99_ms = 0, worst_ms = 0;  // from tick to output
  double bytes_per_dirty_byte = 0;
  double durable_ms = 0;       // median
  double synced_write_ms = 0;  // of the changed entries, bare
  double restore_s = 0;
  uint64_t expected = 0;
};

// Keys are touched in turns of `dirty`, one turn an interval. `counts_bytes`: over a whole chain.
Cost Run(uint64_t keys, uint64_t dirty, const char* interval, bool counts_bytes) {
  Folder folder;
  const uint64_t per_pass = dirty / kPassesPerInterval;
  std::vector<Row> rows(per_pass);
  std::vector<uint64_t> sums(keys);
  uint64_t next = 0, expected = 0;
  const auto touch = [&] {
    for (Row& row : rows) {
      const uint64_t key = next++ % keys;
      row = {{static_cast<int64_t>(key), 7}, static_cast<int64_t>(1 + key % 5)};
      expected += sums[key] += 1 + key % 5;
    }
  };
  Cost cost;
  uint64_t seen = 0;
  {
    Sums job(folder, interval, rows);
    while (next < keys) touch(), job.Pass();
    const auto settled = std::chrono::steady_clock::now() + 2s;  // that one is written in full
    while (std::chrono::steady_clock::now() < settled) std::this_thread::sleep_for(10ms);
    folder.Look();
    const uint64_t before = folder.bytes();
    job.delays().Take();
    folder.TakeDurableMs();
    const double start = ProcessCpuSeconds();
    for (int i = 0; i < kIntervals * kPassesPerInterval; ++i) {
      touch(), job.Pass();
      folder.Look();
    }
    cost.cpu_s = (ProcessCpuSeconds() - start) / kIntervals;
    const std::vector<double> delays = job.delays().Take();
    cost.p50_ms = At(delays, 0.5), cost.p99_ms = At(delays, 0.99), cost.worst_ms = delays.back();
    if (counts_bytes) cost.durable_ms = Median(folder.TakeDurableMs());
    // With more changed than that increments outgrow their base within the intervals above.
    const bool long_chain = counts_bytes && dirty * kIntervals < keys / 2;
    const int counted = long_chain ? kIntervalsOfAChain : kIntervals;
    for (int i = kIntervals * kPassesPerInterval; i < counted * kPassesPerInterval; ++i) {
      touch(), job.Pass();
      folder.Look();
    }
    job.Stop();
    folder.Look();
    cost.bytes_per_dirty_byte = static_cast<double>(folder.bytes() - before) /
                                static_cast<double>(counted * dirty * kEntryBytes);
    seen = job.seen();
  }
  cost.synced_write_ms = folder.SyncedWriteMs(dirty * kEntryBytes);
  const auto begun = std::chrono::steady_clock::now();
  Sums again(folder, interval, rows);
  touch(), again.Pass();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  cost.restore_s = took.count();
  again.Stop();
  RequireEqual(seen + again.seen() == expected, "B11");
  return cost;
}

void Dirty(uint64_t keys, uint64_t percent) {
  const uint64_t dirty = keys * percent / 100;
  const Cost with = Run(keys, dirty, "500ms", true), without = Run(keys, dirty, "1h", false);
  char value[160], compared[280];
  const double cpu_ms = (with.cpu_s - without.cpu_s) * 1e3;
  std::snprintf(value, sizeof value,
                "%8.1f CPU-ms a checkpoint, %.2f %% of two cores if every 10 s", cpu_ms,
                cpu_ms / (10'000 * kCores) * 100);
  std::snprintf(compared, sizeof compared,
                "equal; batch p50 %.0f, p99 %.0f, worst %.0f ms, without %.0f, %.0f, %.0f; "
                "durable %.0f ms behind the tick, a bare synced write %.1f; "
                "%.2f bytes a changed byte; %.2f s to the first batch of the next start",
                with.p50_ms, with.p99_ms, with.worst_ms, without.p50_ms, without.p99_ms,
                without.worst_ms, with.durable_ms, with.synced_write_ms, with.bytes_per_dirty_byte,
                with.restore_s);
  std::printf("%-50s | %-42s | %s\n",
              ("B11 " + std::to_string(keys / 1000) + " K keys, " + std::to_string(percent) +
               " % changed")
                  .c_str(),
              value, compared);
  std::fflush(stdout);
}

// Million records/s of the clock, all keys held and a tenth of them touched, as fast as the job
// takes them.
double Rate(uint64_t keys, const char* interval) {
  const uint64_t touched = keys / 10;
  const int passes = static_cast<int>(kRecordsOfARate / keys);
  Folder folder;
  std::vector<Row> rows(keys);
  std::vector<uint64_t> sums(keys);
  uint64_t expected = 0;
  const auto fill = [&](uint64_t distinct) {
    for (uint64_t i = 0; i < keys; ++i) {
      const uint64_t key = i * 7 % distinct;
      rows[i] = {{static_cast<int64_t>(key), 7}, 1};
    }
  };
  const auto count = [&] {
    for (const Row& row : rows) expected += ++sums[static_cast<uint64_t>(row.first.first)];
  };
  Sums job(folder, interval, rows);
  fill(keys), job.Pass(), count();
  fill(touched);
  const auto begun = std::chrono::steady_clock::now();
  job.Pass(passes);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  for (int i = 0; i < passes; ++i) count();
  job.Stop();
  RequireEqual(job.seen() == expected, "B11, throughput");
  return static_cast<double>(keys) * passes * 1e-6 / took.count();
}

void Throughput(uint64_t keys) {
  std::vector<double> with, without, kept;
  for (int i = 0; i < kRounds; ++i) {
    with.push_back(Rate(keys, "500ms"));
    without.push_back(Rate(keys, "1h"));
    kept.push_back(with.back() / without.back());
  }
  const auto [least, most] = std::minmax_element(kept.begin(), kept.end());
  char what[160], compared[160];
  std::snprintf(what, sizeof what, "B11 %lu K keys, 10 %% changed every 0.5 s", keys / 1000);
  std::snprintf(compared, sizeof compared,
                "equal; without checkpoints %.2f; of it %.3f (%.3f to %.3f in %d rounds)",
                Median(without), Median(kept), *least, *most, kRounds);
  Show({.what = what, .value = Median(with), .unit = "M rec/s", .output = compared});
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  const BenchArgs args = BeginBench(argc, argv);
  const uint64_t keys = args.RecordsOr(1'000'000);
  for (const uint64_t percent : {1, 10, 100}) {
    if (args.Wants("changed")) Dirty(keys, percent);
  }
  if (args.Wants("throughput")) Throughput(keys);
}
