// Counts the error lines of each batch and saves them as text.
#include "examples/source.h"
#include "sluice/sluice.h"

using namespace std::chrono_literals;

void BuildJob(sluice::StreamingContext& ssc) {
  auto errors = examples::Lines(ssc).Filter([](std::string_view line) {
    return line.find("ERROR") != std::string_view::npos;
  });
  errors.SaveAsTextFiles(ssc.args().Get("output"));
  if (ssc.args().GetBool("print")) errors.Count().Print();
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "error_filter", .batch_interval = 1s}, BuildJob);
}
