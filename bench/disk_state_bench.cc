// Keyed state on disk (B7, last sentence): what a batch costs that adds to some of the keys of a
// partition whose base is in a database, beside the bare batched puts of the same keys, 8 bytes
// each, into another one that is opened alike. CPU of the process, in rounds of ten batches; each
// ends when the database's own threads have come to rest, so that what they do is charged to whom
// it is for.
//
//   disk_state_bench [--records=TOUCHED] [--runs=9]
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>
#include <vector>

#include "bench/bench_main.h"
#include "checkpoint/rocksdb_sorted_db.h"
#include "common/key_hash.h"
#include "worker/executor/disk_table.h"

namespace sluice::bench {
namespace {

constexpr uint64_t kHeld = 1'000'000;
constexpr int kBatches = 10;  // of a round
constexpr size_t kFetched = 128 << 10;  // as in driver/api/state_fetch.h

std::string Bytes(uint64_t number) { return {reinterpret_cast<const char*>(&number), 8}; }

int64_t CpuUs() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
}

// Keys come in no order.
std::string KeyOf(uint64_t number) { return Bytes(number * 0x9e3779b97f4a7c15u); }

std::unique_ptr<SortedDb> NewDb(const std::string& name) {
  const char* folder = std::getenv("TMPDIR");
  const std::string dir = std::string(folder != nullptr ? folder : "/tmp") + "/" + name;
  std::filesystem::remove_all(dir);
  auto db = OpenRocksDbSorted({.dir = dir});
  if (!db.ok()) std::exit((std::fprintf(stderr, "%s\n", db.status().ToString().c_str()), 1));
  return *std::move(db);
}

// When nobody works any more.
int64_t CpuUsAtRest() {
  for (int64_t before = CpuUs();; before = CpuUs()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    if (CpuUs() - before < 1000) return CpuUs();
  }
}

using Keys = std::vector<std::string>;

// A table that adds one to each key of a batch, and the sum of all values that it should have.
class Adding {
 public:
  explicit Adding(SortedDb* db) : table_(db, 1, 16 << 20) {}

  void Batch(const Keys& keys) {
    table_.OpenAttempt();
    std::vector<std::string_view> some;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (i % kFetched == 0) {
        some.assign(keys.begin() + i, keys.begin() + std::min(keys.size(), i + kFetched));
        table_.Fetch(some);
      }
      KeyedState::Place place;
      const std::string_view found = table_.Look(keys[i], KeyHash(keys[i]), place);
      uint64_t value = 0;
      if (found.data() != nullptr) std::memcpy(&value, found.data(), 8);
      table_.PutAt(place, keys[i], Bytes(value + 1), 0);
    }
    table_.KeepAttempt(++batch_ms_);
    table_.MergeUpTo(batch_ms_);
    expected_ += keys.size();
  }
  // Reads what it has to write, and is sealed at once.
  void Checkpoint() {
    table_.BeginSnapshot();
    while (!table_.VisitSome(4096, [](const StateRow&) {})) {}
    table_.EndSnapshot();
    table_.ForgetSealed();
  }
  bool Equal() {
    uint64_t sum = 0;
    table_.ForEach([&](std::string_view, std::string_view bytes) {
      uint64_t value = 0;
      std::memcpy(&value, bytes.data(), 8);
      sum += value;
    });
    return table_.error().empty() && sum == expected_ && table_.size() == kHeld;
  }
  uint64_t single_reads() const { return table_.single_reads(); }

 private:
  DiskTable table_;
  int64_t batch_ms_ = 0;
  uint64_t expected_ = 0;
};

class Putting {
 public:
  explicit Putting(SortedDb* db) : db_(*db), batch_(db->NewBatch()) {}
  void Batch(const Keys& keys) {
    for (const std::string& key : keys) batch_->Put(key, Bytes(1));
    if (!db_.Apply(*batch_).ok()) std::exit(1);
  }

 private:
  SortedDb& db_;
  const std::unique_ptr<SortedBatch> batch_;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// How many nanoseconds a key of a round takes.
template <class Target>
double Round(Target& target, const std::vector<Keys>& batches, bool checkpoint) {
  const int64_t begin = CpuUsAtRest();
  size_t keys = 0;
  for (const Keys& batch : batches) {
    target.Batch(batch);
    keys += batch.size();
  }
  if constexpr (requires { target.Checkpoint(); }) {
    if (checkpoint) target.Checkpoint();
  }
  return static_cast<double>(CpuUsAtRest() - begin) * 1e3 / static_cast<double>(keys);
}

int Run(const BenchArgs& args) {
  const uint64_t touched = args.RecordsOr(100'000);
  const auto db = NewDb("disk-state"), bare = NewDb("disk-floor");
  Adding adding(db.get());
  Putting putting(bare.get());
  Keys all;
  for (uint64_t key = 0; key < kHeld; ++key) all.push_back(KeyOf(key));
  adding.Batch(all);
  adding.Checkpoint();
  putting.Batch(all);
  std::mt19937_64 random(7);
  for (const bool checkpoint : {false, true}) {
    std::vector<double> ours, floor;
    for (int run = 0; run < args.runs; ++run) {
      std::vector<Keys> batches(kBatches);
      for (Keys& batch : batches) {
        for (uint64_t i = 0; i < touched; ++i) batch.push_back(KeyOf(random() % kHeld));
      }
      ours.push_back(Round(adding, batches, checkpoint));
      floor.push_back(Round(putting, batches, checkpoint));
    }
    std::printf("B7 state on disk, %llu K keys, %llu K touched, %s: %.0f ns a key, batched puts "
                "%.0f ns, r %.2f\n",
                static_cast<unsigned long long>(kHeld / 1000),
                static_cast<unsigned long long>(touched / 1000),
                checkpoint ? "a checkpoint every ten batches" : "no checkpoint", Median(ours),
                Median(floor), Median(floor) / Median(ours));
  }
  const bool equal = adding.Equal();
  std::printf("%llu keys read by themselves, sums %s\n",
              static_cast<unsigned long long>(adding.single_reads()),
              equal ? "equal" : "DIFFERENT");
  return equal ? 0 : 1;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  return sluice::bench::Run(sluice::bench::BeginBench(argc, argv));
}
