// A job whose state function dies of the key "poison", and takes ever more memory at the key
// "leak". Every record is "KEY ID"; totals are state.
#include <csignal>
#include <string>
#include <vector>

#include "sluice/sluice.h"

using namespace std::chrono_literals;

void TakeAllMemory() {
  static std::vector<std::string> taken;
  for (;;) taken.emplace_back(size_t{16} << 20, 'x');
}

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string output = ssc.args().Get("output");
  ssc.Union({ssc.TextFileStream(ssc.args().Get("dir")), ssc.PushStream("lines")})
      .Map([](std::string_view line) {
        const std::string_view key = line.substr(0, line.find(' '));
        return std::pair{key, std::pair{key, int64_t{1}}};
      })
      .UpdateStateByKey("totals",
                        [](std::span<const std::pair<std::string, int64_t>> records,
                           std::optional<int64_t> total) -> std::optional<int64_t> {
                          for (const auto& [key, count] : records) {
                            if (key == "poison") raise(SIGSEGV);
                            if (key == "leak") TakeAllMemory();
                          }
                          return total.value_or(0) + static_cast<int64_t>(records.size());
                        })
      .SaveAsTextFiles(output + "/totals");
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "poison", .batch_interval = 100ms}, BuildJob);
}
