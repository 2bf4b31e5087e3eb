// Shuffle only (B8) as a whole job in one process: records of 16 and 100 bytes go to other
// partitions, nothing is combined, and the reducers sum up a checksum.
//
// Two forms: Repartition, which spreads evenly, and GroupByKey over distinct keys, the one operator
// that sends by the hash of a key without combining.
//
//   shuffle_bench [--records=N] [--runs=5] [--only=16|group|100]
#include "bench/bench_main.h"
#include "bench/shuffle_floors.h"
#include "bench/whole_job.h"

namespace sluice::bench {
namespace {

constexpr uint64_t kBytes = uint64_t{256} << 20;  // of one pass

std::vector<SmallRecord> MakeSmall(uint64_t count) {
  SplitMix64 random(42);
  std::vector<SmallRecord> records(count);
  for (SmallRecord& record : records) record = {random.Next(), random.Next()};
  return records;
}

std::vector<LargeRecord> MakeLarge(uint64_t count) {
  SplitMix64 random(42);
  std::vector<LargeRecord> records(count);
  for (LargeRecord& record : records) {
    record.key = random.Next();
    for (char& c : record.rest) c = static_cast<char>(random.Next());
  }
  return records;
}

// `declare` shuffles the stream and gives a stream of the records' sums.
template <class T, class Declare>
void Measure(const std::string& what, const std::vector<T>& records, uint32_t partitions,
             uint64_t record_bytes, int runs, const Declare& declare) {
  uint64_t sum = 0, by_floor = 0, by_native = 0;
  PartedBytes bytes;
  WholeJob<T, T> job("B8 " + what + ", R = " + std::to_string(partitions), records, record_bytes);
  declare(job.stream()).Reduce(std::plus<>()).ForeachBatch([&](const Batch<uint64_t>& batch) {
    batch.ForEach([&](uint64_t part) { sum += part; });
  });
  job.RunAndShow(
      {.runs = runs,
       .floor_o2 = [&] { by_floor += floors_o2::PartAndSum(records, partitions, bytes); },
       .floor_native = [&] { by_native += floors_native::PartAndSum(records, partitions, bytes); },
       .equal = [&] { return sum == by_floor && sum == by_native; }},
      "M rec/CPU-s");
}

void Small(uint64_t count, int runs) {
  const std::vector<SmallRecord> records = MakeSmall(count);
  for (const uint32_t partitions : {8u, 64u, 512u}) {
    Measure("16 B, Repartition", records, partitions, 16, runs,
            [&](const DStream<SmallRecord>& stream) {
              return stream.Repartition(partitions).Map(
                  [](const SmallRecord& record) { return SumOf(record); });
            });
  }
}

void Groups(uint64_t count, int runs) {
  const std::vector<SmallRecord> records = MakeSmall(count);
  Measure("16 B, GroupByKey", records, 8, 16, runs, [](const DStream<SmallRecord>& stream) {
    return stream.GroupByKey().Map(
        [](const std::pair<uint64_t, std::vector<uint64_t>>& group) {
          uint64_t sum = 0;
          for (const uint64_t value : group.second) {
            sum += SumOf(SmallRecord(group.first, value));
          }
          return sum;
        });
  });
}

void Large(uint64_t count, int runs) {
  const std::vector<LargeRecord> records = MakeLarge(count);
  for (const uint32_t partitions : {8u, 64u, 512u}) {
    Measure("100 B, Repartition", records, partitions, 100, runs,
            [&](const DStream<LargeRecord>& stream) {
              return stream.Repartition(partitions).Map(
                  [](const LargeRecord& record) { return SumOf(record); });
            });
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  const BenchArgs args = BeginBench(argc, argv);
  if (args.Wants("16")) Small(args.RecordsOr(kBytes / 16), args.runs);
  if (args.Wants("group")) Groups(args.RecordsOr(kBytes / 16), args.runs);
  if (args.Wants("100")) Large(args.RecordsOr(kBytes / 100), args.runs);
}
