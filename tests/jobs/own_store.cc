// Totals of the words of files, kept in the checkpoint that the program itself names.
#include <cstdlib>

#include "sluice/sluice.h"

using namespace std::chrono_literals;

std::optional<int64_t> AddToTotal(std::span<const int64_t> counts, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t count : counts) sum += count;
  return sum;
}

void BuildJob(sluice::StreamingContext& ssc) {
  ssc.TextFileStream(ssc.args().Get("dir"))
      .FlatMap(sluice::SplitWords)
      .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
      .UpdateStateByKey("totals", AddToTotal)
      .SaveAsTextFiles(ssc.args().Get("output"));
}

int main(int argc, char** argv) {
  const sluice::JobOptions options{
      .name = "own_store", .batch_interval = 100ms, .checkpoint = getenv("OWN_STORE")};
  return sluice::RunJob(argc, argv, options, BuildJob);
}
