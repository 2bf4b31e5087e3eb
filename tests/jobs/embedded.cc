// A program that holds its own StreamingContext and is told on its standard input what to call:
// `await MS`, `drain` or `stop`. Says on its standard output what came of it.
#include <iostream>
#include <sstream>

#include "sluice/sluice.h"

using namespace std::chrono_literals;

std::optional<int64_t> AddToTotal(std::span<const int64_t> counts, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t count : counts) sum += count;
  return sum;
}

void BuildJob(sluice::StreamingContext& ssc) {
  ssc.TextFileStream(ssc.args().Get("dir"))
      .Map([](std::string_view line) { return std::pair{line, int64_t{1}}; })
      .ReduceByKey(std::plus<>())
      .UpdateStateByKey("totals", AddToTotal)
      .SaveAsTextFiles(ssc.args().Get("output"));
}

int main(int argc, char** argv) {
  sluice::Args args = sluice::Args::Parse({argv + 1, argv + argc});
  sluice::JobOptions options{.name = "embedded", .batch_interval = 100ms};
  options.checkpoint = args.Get("checkpoint");
  options.args = args;
  options.conf = {{"checkpoint_interval", "200ms"}};
  auto ssc = sluice::StreamingContext::GetOrCreate(options, BuildJob);
  const sluice::Outcome started = ssc.Start();
  std::cout << "started " << started.exit_code << " " << started.message << std::endl;
  if (!started.ok()) return started.exit_code;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string word;
    int64_t milliseconds = 0;
    words >> word >> milliseconds;
    if (word == "await") {
      const auto ended = ssc.AwaitTerminationOrTimeout(std::chrono::milliseconds(milliseconds));
      std::cout << (ended ? "ended " + std::to_string(ended->exit_code) : "runs") << std::endl;
    } else {
      const sluice::Outcome stopped = ssc.Stop({.drain = word == "drain"});
      std::cout << "stopped " << stopped.exit_code << std::endl;
    }
  }
  return 0;
}
