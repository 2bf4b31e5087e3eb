// Prints the lines of each batch that contain "error"; with --output saves all of them as text.
#include "examples/errors.h"
#include "examples/source.h"

using namespace std::chrono_literals;

void BuildJob(sluice::StreamingContext& ssc) {
  auto errors = examples::Errors(examples::Lines(ssc));
  errors.Print();
  const std::string output = ssc.args().Get("output", "");
  if (!output.empty()) errors.SaveAsTextFiles(output);
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "error_filter", .batch_interval = 1s}, BuildJob);
}
