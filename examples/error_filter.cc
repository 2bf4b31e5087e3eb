// Prints the lines of each batch that contain "error"; with --output saves all of them as text.
#include "examples/source.h"
#include "sluice/sluice.h"

using namespace std::chrono_literals;

void BuildJob(sluice::StreamingContext& ssc) {
  auto errors = examples::Lines(ssc).Filter([](std::string_view line) {
    return line.find("error") != std::string_view::npos;
  });
  errors.Print();
  const std::string output = ssc.args().Get("output", "");
  if (!output.empty()) errors.SaveAsTextFiles(output);
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "error_filter", .batch_interval = 1s}, BuildJob);
}
