// The job that is killed: files of numbered records, state, a window and published files, all in
// one process on real directories. Its environment may say where it is to die.
//
//   crash_job --checkpoint=rocksdb:/DIR --input=DIR --output=PREFIX
//
// A record is "KEY ID"; the ids of each key ascend by one (expected.py).
//
// Outputs, by batch:
//   ids     every record, in the order of its task;
//   totals  (KEY,(records, sum of ids)) since the start;
//   recent  (KEY,records) of the last five intervals, from an inverse.
//
// CRASH_POINT=NAME and CRASH_PASS=N: SIGKILL when that place (common/kill_point.h) is passed for
// the N-th time; CRASH_NOTE=FILE is then made before. --points prints all names.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "common/kill_point.h"
#include "sluice/sluice.h"

using namespace std::chrono_literals;

namespace {

constexpr auto kInterval = 20ms;

sluice::KillPoint fatal_point = sluice::KillPoint::kCount;
std::atomic<int> passes_left = 0;
const char* note = nullptr;

void AtKillPoint(sluice::KillPoint point) {
  if (point != fatal_point || --passes_left != 0) return;
  close(open(note, O_WRONLY | O_CREAT, 0644));
  raise(SIGKILL);
}

void ArmByEnvironment() {
  const char* name = std::getenv("CRASH_POINT");
  if (name == nullptr) return;
  note = std::getenv("CRASH_NOTE");
  passes_left = std::atoi(std::getenv("CRASH_PASS"));
  for (int i = 0; i < static_cast<int>(sluice::KillPoint::kCount); ++i) {
    const auto point = static_cast<sluice::KillPoint>(i);
    if (sluice::NameOf(point) == name) fatal_point = point;
  }
  sluice::internal::at_kill_point = AtKillPoint;
}

using Total = std::pair<int64_t, int64_t>;  // records, sum of ids

std::optional<Total> AddTo(std::span<const int64_t> ids, std::optional<Total> before) {
  Total total = before.value_or(Total{});
  for (const int64_t id : ids) {
    ++total.first;
    total.second += id;
  }
  return total;
}

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string output = ssc.args().Get("output");
  auto records = ssc.TextFileStream(ssc.args().Get("input"));
  records.SaveAsTextFiles(output + "/ids");
  records
      .Map([](std::string_view record) {
        const size_t blank = record.find(' ');
        return std::pair{record.substr(0, blank),
                         int64_t{std::atoll(std::string(record.substr(blank + 1)).c_str())}};
      })
      .UpdateStateByKey("totals", AddTo)
      .SaveAsTextFiles(output + "/totals");
  records
      .Map([](std::string_view record) {
        return std::pair{record.substr(0, record.find(' ')), int64_t{1}};
      })
      .ReduceByKeyAndWindow(std::plus<>(), std::minus<>(),
                            {.length = 5 * kInterval, .slide = kInterval})
      .SaveAsTextFiles(output + "/recent");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--points") {
    for (int i = 0; i < static_cast<int>(sluice::KillPoint::kCount); ++i) {
      std::cout << sluice::NameOf(static_cast<sluice::KillPoint>(i)) << "\n";
    }
    return 0;
  }
  ArmByEnvironment();
  return sluice::RunJob(argc, argv, {.name = "crash", .batch_interval = kInterval}, BuildJob);
}
