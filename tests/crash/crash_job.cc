// The job that is killed: numbered records, state, a window and published files, all in one process
// on real directories. Its environment may say where it is to die (common/kill_point_arming.h).
//
//   crash_job --checkpoint=rocksdb:/DIR --input=DIR --output=PREFIX [--received]
//   crash_job --points
//
// A record is "KEY ID"; the ids of each key ascend by one (expected.py). A file of the input has
// ten; the file NAME, eight digits, those behind the first 10 * NAME. They are the source's files,
// or, with --received, what a receiver takes and removes once it is acknowledged, as consumers of a
// queue do. --points prints the names of all places.
//
// Outputs, by batch:
//   ids     every record, in the order of its task;
//   totals  (KEY,(records, sum of ids)) since the start;
//   recent  (KEY,records) of the last five intervals, from an inverse.
//
// CRASH_MUTANT, set to anything: files are removed before their records are safe.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "common/kill_point.h"
#include "common/kill_point_arming.h"
#include "sluice/sluice.h"

using namespace std::chrono_literals;

namespace {

constexpr auto kInterval = 20ms;
constexpr int64_t kRecordsOfAFile = 10;
constexpr int kForgotten = 70;  // exit code: what was acknowledged is not logged

class Files : public sluice::Receiver<std::string> {
 public:
  explicit Files(std::string directory) : directory_(std::move(directory)) {}

  void Run(sluice::Receiving<std::string>& receiving) override {
    std::optional<int64_t> logged = receiving.LastLogged("files");
    while (logged.has_value() && !receiving.stopping()) {
      const std::string path = PathOf(*logged / kRecordsOfAFile);
      const std::vector<std::string> records = RecordsOf(path);
      if (records.empty()) {
        CheckNoneForgotten(*logged);
        receiving.WaitStopping(2);
        continue;
      }
      if (early_) std::filesystem::remove(path);
      const std::optional<int64_t> now_logged = receiving.Store(
          std::span<const std::string>(records), {.producer = "files", .first = *logged + 1});
      if (!now_logged.has_value()) continue;  // sent again
      logged = now_logged;
      std::filesystem::remove(path);
    }
  }

 private:
  std::string PathOf(int64_t number) const {
    char name[24];
    std::snprintf(name, sizeof name, "/%08lld", static_cast<long long>(number));
    return directory_ + name;
  }
  static std::vector<std::string> RecordsOf(const std::string& path) {
    std::vector<std::string> records;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) records.push_back(std::move(line));
    return records;
  }
  // Files come in order and go when they are acknowledged: none is missing before one that is.
  void CheckNoneForgotten(int64_t logged) const {
    if (!std::filesystem::exists(PathOf(logged / kRecordsOfAFile + 1))) return;
    if (std::filesystem::exists(PathOf(logged / kRecordsOfAFile))) return;
    std::cerr << "records from " << logged + 1 << " on were acknowledged and are not logged"
              << std::endl;
    _exit(kForgotten);
  }

  const std::string directory_;
  const bool early_ = std::getenv("CRASH_MUTANT") != nullptr;
};

using Total = std::pair<int64_t, int64_t>;  // records, sum of ids

std::optional<Total> AddTo(std::span<const int64_t> ids, std::optional<Total> before) {
  Total total = before.value_or(Total{});
  for (const int64_t id : ids) {
    ++total.first;
    total.second += id;
  }
  return total;
}

std::string_view KeyOf(std::string_view record) { return record.substr(0, record.find(' ')); }

int64_t IdOf(std::string_view record) {
  return std::atoll(std::string(record.substr(record.find(' ') + 1)).c_str());
}

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string output = ssc.args().Get("output");
  const std::string input = ssc.args().Get("input");
  auto records = ssc.args().GetBool("received") ? ssc.ReceiverStream(Files(input))
                                                : ssc.TextFileStream(input);
  records.SaveAsTextFiles(output + "/ids");
  records.Map([](std::string_view record) { return std::pair{KeyOf(record), IdOf(record)}; })
      .UpdateStateByKey("totals", AddTo)
      .SaveAsTextFiles(output + "/totals");
  records.Map([](std::string_view record) { return std::pair{KeyOf(record), int64_t{1}}; })
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
  if (const absl::Status armed = sluice::ArmKillPointByEnvironment(); !armed.ok()) {
    std::cerr << "crash_job: " << armed.message() << std::endl;
    return 2;
  }
  return sluice::RunJob(argc, argv, {.name = "crash", .batch_interval = kInterval}, BuildJob);
}
