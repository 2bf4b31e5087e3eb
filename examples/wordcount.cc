// Counts words: each batch's own counts with --print, and the running totals of all words, saved
// at every batch, with --output.
#include "sluice/sluice.h"

using namespace std::chrono_literals;

std::optional<int64_t> AddToTotal(std::span<const int64_t> counts, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t count : counts) sum += count;
  return sum;
}

sluice::DStream<std::string> Lines(sluice::StreamingContext& ssc) {
  sluice::Args& args = ssc.args();
  if (args.Has("dir")) return ssc.TextFileStream(args.Get("dir"));
  if (args.Has("push")) return ssc.PushStream(args.Get("push"));
  return ssc.SocketTextStream(args.Get("host", "localhost"),
                              static_cast<int>(args.GetInt("port", 9999)));
}

void BuildJob(sluice::StreamingContext& ssc) {
  auto counts = Lines(ssc)
                    .FlatMap(sluice::SplitWords)
                    .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
                    .ReduceByKey(std::plus<>());
  if (ssc.args().GetBool("print")) counts.Print();
  counts.UpdateStateByKey("totals", AddToTotal).SaveAsTextFiles(ssc.args().Get("output"));
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "wordcount", .batch_interval = 1s}, BuildJob);
}
