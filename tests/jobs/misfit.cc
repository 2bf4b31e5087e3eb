// A job that goes wrong in the way its --misfit flag names.
#include <csignal>
#include <stdexcept>

#include "sluice/sluice.h"

using namespace std::chrono_literals;

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string misfit = ssc.args().Get("misfit", "none");
  auto lines = ssc.TextFileStream(ssc.args().Get("dir"));
  static int built = 0;
  if (misfit == "graphs" && ++built % 2 == 0) lines.Count().Print();
  if (misfit == "window") lines.Window({.length = 250ms}).Count().Print();
  lines
      .Map([misfit](std::string_view line) {
        if (misfit == "throw" && line == "bad") throw std::runtime_error("a bad line");
        if (misfit == "crash" && line == "bad") raise(SIGSEGV);
        volatile bool spinning = misfit == "spin" && line == "bad";
        while (spinning) {
        }
        return std::string(line);
      })
      .SaveAsTextFiles(ssc.args().Get("output"));
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "misfit", .batch_interval = 100ms}, BuildJob);
}
