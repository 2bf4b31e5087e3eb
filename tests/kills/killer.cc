// Kills processes of a running ledger job at a chosen moment, and says in which step that was.
//
//   killer CHECKPOINT_DIR SCRATCH_DIR RUNS_DIR -- --dir=DIR --output=PREFIX
//
// Each line of standard input is an order, answered by one line of JSON:
//   kill LOSES STEP DELAY_US PID...   awaits the step, lets the delay pass, and sends SIGKILL
//   doom LOSES STEP DELAY_US FILE     the same, but makes FILE and awaits that a task takes it
// LOSES is 1 when the kill asks for a new generation. STEP is a name of step.h, or - for none; it
// is awaited for a bounded time, because some steps come seldom.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "tests/jobs/ledger_job.h"
#include "tests/kills/observer.h"

namespace sluice::kills {
namespace {

constexpr int64_t kLookEveryUs = 300;
constexpr int64_t kStepAwaitedUs = 1'000'000;
constexpr int64_t kDoomAwaitedUs = 20'000'000;

// The moment of a kill is drawn by the test: this lets that much time pass.
void Pass(int64_t us) {
  const timespec time{us / 1'000'000, us % 1'000'000 * 1000};
  ppoll(nullptr, 0, &time, nullptr);
}

// How many of them were there to be killed.
int KillAll(const std::vector<std::string>& pids) {
  int killed = 0;
  for (const std::string& text : pids) {
    const int pid = std::stoi(text);
    // 0 and below would be whole groups of processes.
    if (pid > 1 && kill(pid, SIGKILL) == 0) ++killed;
  }
  return killed;
}

struct Order {
  std::string what;
  bool loses = false;
  std::string step;
  int64_t delay_us = 0;
  std::vector<std::string> victims;
};

class Killer {
 public:
  Killer(ObserverPlaces places, const LineageGraph& graph) : observer_(std::move(places), graph) {}

  // The answer to an order.
  absl::StatusOr<std::string> Carry(const Order& order) {
    ASSIGN_OR_RETURN(const bool came, Await(order.step));
    Pass(order.delay_us);
    RETURN_IF_ERROR(observer_.Look());
    const std::string before(NameOf(observer_.step()));
    const uint64_t slot = observer_.log().slot;
    const GenerationKey present = observer_.granted();
    int killed = 0;
    if (order.what == "doom") {
      RETURN_IF_ERROR(Doom(order.victims.front()));
      killed = 1;
    } else {
      killed = KillAll(order.victims);
    }
    RETURN_IF_ERROR(observer_.Look());
    const std::string after(NameOf(observer_.step()));
    // A doomed task may have been awaited over a change of generation.
    if (order.loses && killed > 0) {
      observer_.Lose(order.what == "doom" ? observer_.granted() : present);
    }
    std::ostringstream answer;
    answer << "{\"before\": \"" << before << "\", \"after\": \"" << after
           << "\", \"killed\": " << killed << ", \"slot\": " << slot
           << ", \"slot_after\": " << observer_.log().slot << ", \"came\": " << came
           << ", \"answered\": " << observer_.answered()
           << ", \"epoch\": " << observer_.granted().first
           << ", \"generation\": " << observer_.granted().second
           << ", \"members\": " << observer_.members()
           << ", \"decided\": " << observer_.log().decided.size() << "}";
    return answer.str();
  }

 private:
  // Whether the step came in time.
  absl::StatusOr<bool> Await(const std::string& step) {
    const MonotonicTime begun = RealClock().MonotonicUs();
    while (step != "-") {
      RETURN_IF_ERROR(observer_.Look());
      if (NameOf(observer_.step()) == step) return true;
      if (RealClock().MonotonicUs() - begun > kStepAwaitedUs) return false;
      Pass(kLookEveryUs);
    }
    return true;
  }

  absl::Status Doom(const std::string& file) {
    close(open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    const MonotonicTime begun = RealClock().MonotonicUs();
    while (access(file.c_str(), F_OK) == 0) {
      if (RealClock().MonotonicUs() - begun > kDoomAwaitedUs) {
        return absl::DeadlineExceededError("no task took " + file);
      }
      Pass(kLookEveryUs);
    }
    return absl::OkStatus();
  }

  Observer observer_;
};

int Run(const std::vector<std::string>& words) {
  const auto dashes = std::find(words.begin(), words.end(), "--");
  if (dashes - words.begin() != 3) return 2;
  StreamingContext ssc(tests::LedgerOptions(Args::Parse({dashes + 1, words.end()})));
  tests::BuildLedger(ssc);
  if (!ssc.Check().ok()) return 2;
  Killer killer({words[0], words[1], words[2]}, ssc.graph());
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream fields(line);
    Order order;
    fields >> order.what >> order.loses >> order.step >> order.delay_us;
    for (std::string victim; fields >> victim;) order.victims.push_back(victim);
    const absl::StatusOr<std::string> answer = killer.Carry(order);
    if (answer.ok()) std::cout << *answer << std::endl;
    else std::cout << "{\"failed\": \"" << answer.status().message() << "\"}" << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace sluice::kills

int main(int argc, char** argv) { return sluice::kills::Run({argv + 1, argv + argc}); }
