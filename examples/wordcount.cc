// Counts words: each batch's own counts with --print, and the running totals of all words, saved
// at every batch, with --output.
#include "examples/source.h"
#include "sluice/sluice.h"

using namespace std::chrono_literals;

std::optional<int64_t> AddToTotal(std::span<const int64_t> counts, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t count : counts) sum += count;
  return sum;
}

void BuildJob(sluice::StreamingContext& ssc) {
  auto counts = examples::Lines(ssc)
                    .FlatMap(sluice::SplitWords)
                    .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
                    .ReduceByKey(std::plus<>());
  if (ssc.args().GetBool("print")) counts.Print();
  counts.UpdateStateByKey("totals", AddToTotal).SaveAsTextFiles(ssc.args().Get("output"));
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "wordcount", .batch_interval = 1s}, BuildJob);
}
