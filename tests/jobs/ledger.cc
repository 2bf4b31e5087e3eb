// The job of the kill tests. Every record is "KEY ID" with an ID that occurs once, so that a lost
// and a doubled record are each visible; totals by key are state that outlives every process.
#include "sluice/sluice.h"

using namespace std::chrono_literals;

std::pair<std::string_view, int64_t> Parse(std::string_view line) {
  const size_t blank = line.find(' ');
  return {line.substr(0, blank), 1};
}

std::optional<int64_t> AddToTotal(std::span<const int64_t> counts, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t count : counts) sum += count;
  return sum;
}

void BuildJob(sluice::StreamingContext& ssc) {
  auto lines = ssc.Union({ssc.TextFileStream(ssc.args().Get("dir")), ssc.PushStream("ids")});
  const std::string output = ssc.args().Get("output");
  lines.SaveAsTextFiles(output + "/ids");
  lines.Map(Parse).ReduceByKey(std::plus<>()).UpdateStateByKey("totals", AddToTotal)
      .SaveAsTextFiles(output + "/totals");
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "ledger", .batch_interval = 100ms}, BuildJob);
}
