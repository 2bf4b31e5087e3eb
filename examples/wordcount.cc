// Counts words: each batch's own counts with --print, and the running totals of all words, saved
// at every batch, with --output.
#include "examples/source.h"
#include "examples/word_count.h"

using namespace std::chrono_literals;

void BuildJob(sluice::StreamingContext& ssc) {
  auto counts = examples::CountWords(examples::Lines(ssc));
  if (ssc.args().GetBool("print")) counts.Print();
  examples::Totals(counts).SaveAsTextFiles(ssc.args().Get("output"));
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "wordcount", .batch_interval = 1s}, BuildJob);
}
