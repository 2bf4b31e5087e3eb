// Flags values of "KEY VALUE" lines that are far from the key's running mean, in its own standard
// deviations (--deviations, after --warm-up values). Prints them; with --output saves them.
#include "examples/outliers.h"
#include "examples/source.h"

using namespace std::chrono_literals;

void BuildJob(sluice::StreamingContext& ssc) {
  examples::Limits limits;
  limits.deviations = ssc.args().GetDouble("deviations", limits.deviations);
  limits.warm_up = ssc.args().GetInt("warm-up", limits.warm_up);
  sluice::DStream<examples::Reading> outliers =
      examples::Outliers(examples::Lines(ssc), limits);
  outliers.Print();
  const std::string output = ssc.args().Get("output", "");
  if (!output.empty()) outliers.SaveAsTextFiles(output);
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "anomalies", .batch_interval = 1s}, BuildJob);
}
