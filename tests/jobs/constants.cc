// Saves at every batch which process computed a constant: as the graph was made of it, and as a
// function knows it.
#include <unistd.h>

#include "sluice/sluice.h"

using namespace std::chrono_literals;

void BuildJob(sluice::StreamingContext& ssc) {
  const int64_t pid = ssc.Constant("pid", [] { return int64_t{getpid()}; });
  ssc.ConstantStream(std::vector<int64_t>{pid})
      .Map([pid](int64_t in_graph) { return std::pair{in_graph, pid}; })
      .SaveAsTextFiles(ssc.args().Get("output"));
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "constants", .batch_interval = 100ms}, BuildJob);
}
