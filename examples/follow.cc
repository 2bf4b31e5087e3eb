// Counts the words that are appended to a file (--file) and saves the running totals (--output).
#include "examples/follow_file.h"
#include "examples/word_count.h"

using namespace std::chrono_literals;

void BuildJob(sluice::StreamingContext& ssc) {
  const auto lines = ssc.ReceiverStream(examples::FollowFile(ssc.args().Get("file")));
  examples::Totals(examples::CountWords(lines)).SaveAsTextFiles(ssc.args().Get("output"));
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "follow", .batch_interval = 1s}, BuildJob);
}
