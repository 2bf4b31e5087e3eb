// A whole job in this process (driver, worker, executor, log, blocks and checkpoints of local
// mode) that a receiver feeds with pre-generated records, measured beside hand-written floors on
// the same records.
//
// Passes of the job and of the floors take turns, so that what disturbs the machine disturbs both.
// The job's time is the CPU time of the process, all its threads, until a pass is decided to the
// last record; a floor's that of its thread. What is shown are medians behind one pass that warms
// up; a ratio is the median of each round's own, since a machine whose speed wanders lets the
// medians of job and floor come from different times.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "bench/feed.h"
#include "bench/table.h"
#include "sluice/sluice.h"

namespace sluice::bench {

// The job that benchmarks run in one process: 250 ms batches, 8 partitions.
JobOptions WholeJobOptions(std::string checkpoint_interval = "500ms");
// Ends the program when the outcome is an error.
void Require(const Outcome& outcome);

struct Passes {
  int runs = 9;
  std::function<void()> prepare{};          // before each pass; not timed
  std::function<void()> floor_o2{};         // one pass
  std::function<void()> floor_native{};
  std::function<bool()> equal{};            // behind each pass: is the job's output the floors'?
};

// Million records per CPU-second.
struct PassRates {
  double job = 0;
  double floor_o2 = 0;
  double floor_native = 0;
  double ratio_o2 = 0;      // of the job to a floor; 0 without that floor
  double ratio_native = 0;
  uint64_t batches = 0;  // with records, per pass
};

// Runs a declared job whose listener is `gate`.
PassRates RunPasses(StreamingContext& ssc, FeedGate& gate, uint64_t records, const Passes& passes,
                    const std::string& what);

// The line of the table.
void Show(const std::string& what, const PassRates& rates, const std::string& unit);

// Declares the source of a job of its own; `rows` outlive it.
template <Record T, class Row>
class WholeJob {
 public:
  // Bytes of records that are on their way, and of one store.
  static constexpr uint64_t kWindowBytes = uint64_t{200} << 20;
  static constexpr uint64_t kStoreBytes = uint64_t{3} << 20;

  WholeJob(std::string name, std::span<const Row> rows, uint64_t record_bytes,
           JobOptions options = WholeJobOptions())
      : name_(std::move(name)),
        rows_(rows),
        gate_(std::make_shared<FeedGate>(rows.size(), kWindowBytes / record_bytes)),
        ssc_(std::move(options)),
        stream_(ssc_.ReceiverStream(
            FeedReceiver<T, Row>(gate_.get(), rows, kStoreBytes / record_bytes))) {
    ssc_.AddListener(gate_);
  }

  StreamingContext& ssc() { return ssc_; }
  const DStream<T>& stream() const { return stream_; }
  PassRates Run(const Passes& passes) {
    return RunPasses(ssc_, *gate_, rows_.size(), passes, name_);
  }
  // The same, and its line in the table.
  PassRates RunAndShow(const Passes& passes, const std::string& unit) {
    const PassRates rates = Run(passes);
    Show(name_, rates, unit);
    return rates;
  }

 private:
  const std::string name_;
  const std::span<const Row> rows_;
  const std::shared_ptr<FeedGate> gate_;
  StreamingContext ssc_;
  DStream<T> stream_;
};

}  // namespace sluice::bench
