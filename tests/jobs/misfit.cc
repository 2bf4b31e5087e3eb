// A job that goes wrong in the way its --misfit flag names.
#include <csignal>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "sluice/sluice.h"

using namespace std::chrono_literals;

class Stops : public sluice::StreamingListener {
 public:
  explicit Stops(sluice::StreamingContext& ssc) : ssc_(ssc) {}
  void OnBatchCompleted(const sluice::BatchInfo&) override { ssc_.Stop(); }

 private:
  sluice::StreamingContext& ssc_;
};

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string misfit = ssc.args().Get("misfit", "none");
  const std::string dir = ssc.args().Get("dir");
  const int port = static_cast<int>(ssc.args().GetInt("port", 0));
  auto lines = port == 0 ? ssc.TextFileStream(dir) : ssc.SocketTextStream("127.0.0.1", port);
  if (misfit == "build") throw std::runtime_error("no such table");
  static int built = 0;
  if (misfit == "graphs" && ++built % 2 == 0) lines.Count().Print();
  if (misfit == "stop") ssc.AddListener(std::make_shared<Stops>(ssc));
  if (misfit == "queue") ssc.QueueStream<int64_t>({{1}, {2}}).Print();
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

// A program whose executors end before anything of ours runs in them, as one does whose start-up
// needs what only the driver's node has.
void EndIfExecutor(int argc, char** argv) {
  bool executor = false, wanted = false;
  for (int i = 1; i < argc; ++i) {
    executor |= std::string_view(argv[i]).starts_with("--sluice-executor=");
    wanted |= std::string_view(argv[i]) == "--misfit=start";
  }
  if (executor && wanted) std::_Exit(9);
}

int main(int argc, char** argv) {
  EndIfExecutor(argc, argv);
  return sluice::RunJob(argc, argv, {.name = "misfit", .batch_interval = 100ms}, BuildJob);
}
