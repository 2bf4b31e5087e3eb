// Lines "ID ANYTHING" saved as rows "ID,LENGTH" in files that may roll. The file of --pace says how
// many microseconds each record takes, so that a test can make the job slow and fast again. The
// file of --batches gets a line for each batch that is completed: its name, when its tasks were
// handed out and when it was over, in ms, and its records.
#include <charconv>
#include <fstream>

#include "examples/source.h"
#include "sluice/sluice.h"
#include "tests/jobs/slow_answer.h"

using namespace std::chrono_literals;

struct Csv {
  std::string Header() const { return "id,length\n"; }
  void Append(const std::pair<int64_t, int64_t>& row, std::string& out) const {
    out += std::to_string(row.first) + "," + std::to_string(row.second) + "\n";
  }
};

int64_t PaceUs(const std::string& path) {
  int64_t pace_us = 0;
  std::ifstream(path) >> pace_us;
  return pace_us;
}

class Diary : public sluice::StreamingListener {
 public:
  explicit Diary(const std::string& path) : file_(path, std::ios::app) {}
  void OnBatchCompleted(const sluice::BatchInfo& batch) override {
    file_ << batch.time_ms << ' ' << batch.processing_start_ms << ' ' << batch.processing_end_ms
          << ' ' << batch.records << std::endl;
  }

 private:
  std::ofstream file_;
};

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string batches = ssc.args().Get("batches", "");
  if (!batches.empty()) ssc.AddListener(std::make_shared<Diary>(batches));
  const std::string pace = ssc.args().Get("pace", "");
  const auto roll_bytes = static_cast<uint64_t>(ssc.args().GetInt("roll", 0));
  auto rows = examples::Lines(ssc)
                  .MapPartitions([pace](std::span<const std::string> lines) {
                    std::vector<std::pair<int64_t, int64_t>> rows;
                    for (const std::string& line : lines) {
                      int64_t id = 0;
                      std::from_chars(line.data(), line.data() + line.size(), id);
                      rows.emplace_back(id, static_cast<int64_t>(line.size()));
                    }
                    AwaitAnswer(PaceUs(pace) * static_cast<int64_t>(lines.size()));
                    return rows;
                  });
  rows.SaveAsFiles(ssc.args().Get("output") + "/rows", Csv{}, "csv",
                   {.roll_bytes = roll_bytes, .roll_after = 3s});
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "paced", .batch_interval = 200ms}, BuildJob);
}
