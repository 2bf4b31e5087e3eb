// Counts the words that are appended to a file (--file) and saves the running totals (--output).
#include "examples/follow_file.h"
#include "sluice/sluice.h"

using namespace std::chrono_literals;

std::optional<int64_t> AddToTotal(std::span<const int64_t> counts, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t count : counts) sum += count;
  return sum;
}

void BuildJob(sluice::StreamingContext& ssc) {
  ssc.ReceiverStream(examples::FollowFile(ssc.args().Get("file")))
      .FlatMap(sluice::SplitWords)
      .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
      .ReduceByKey(std::plus<>())
      .UpdateStateByKey("totals", AddToTotal)
      .SaveAsTextFiles(ssc.args().Get("output"));
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "follow", .batch_interval = 1s}, BuildJob);
}
