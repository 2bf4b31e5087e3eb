// Fits "X1 X2 ... Y" lines by a linear model while they come. Prints (loss,[weights]) for every
// batch, the constant term last; with --output saves them. --rate is that of learning.
#include "examples/regression.h"
#include "examples/source.h"

using namespace std::chrono_literals;

void BuildJob(sluice::StreamingContext& ssc) {
  sluice::DStream<examples::Model> models =
      examples::Regression(examples::Lines(ssc), ssc.args().GetDouble("rate", 0.05));
  models.Print();
  const std::string output = ssc.args().Get("output", "");
  if (!output.empty()) models.SaveAsTextFiles(output);
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "online_regression", .batch_interval = 1s}, BuildJob);
}
