// Records of any size through a shuffle: each line goes, whole, to the partition of its first word
// and is written down there.
#include "examples/source.h"
#include "sluice/sluice.h"

using namespace std::chrono_literals;

void BuildJob(sluice::StreamingContext& ssc) {
  examples::Lines(ssc)
      .Map([](std::string_view line) { return std::pair{line.substr(0, line.find(' ')), line}; })
      .GroupByKey()
      .FlatMap([](const auto& row) { return row.second; })
      .SaveAsTextFiles(ssc.args().Get("output"));
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "large", .batch_interval = 200ms}, BuildJob);
}
