// A job whose parser is bad at some lines. Every line is "KEY ID"; totals by key are state. Keys
// say what happens: `throw` throws while the file --bad is there, `crash` and `spin` do what they
// say, and `poison` makes the state's function throw until there is a file of that name and
// "-mended". With BAD_LINES_SALT in the environment totals are others.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "sluice/sluice.h"

using namespace std::chrono_literals;

namespace {

std::pair<std::string, int64_t> Parse(const std::string& line, const std::string& bad) {
  const std::string key = line.substr(0, line.find(' '));
  if (key == "throw" && access(bad.c_str(), F_OK) == 0) throw std::runtime_error("bad: " + line);
  if (key == "crash") raise(SIGSEGV);
  while (key == "spin") pause();
  return {key, 1};
}

std::optional<int64_t> Add(std::string_view key, std::span<const int64_t> counts,
                           std::optional<int64_t> total, const std::string& mended) {
  if (key == "poison" && access(mended.c_str(), F_OK) != 0) throw std::runtime_error("poison");
  static const bool salted = getenv("BAD_LINES_SALT") != nullptr;
  return salted + total.value_or(0) + static_cast<int64_t>(counts.size());
}

}  // namespace

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string bad = ssc.args().Get("bad");
  ssc.Union({ssc.TextFileStream(ssc.args().Get("dir")), ssc.PushStream("lines")})
      .Map([bad](std::string_view line) { return Parse(std::string(line), bad); })
      .UpdateStateByKey("totals", [mended = bad + "-mended"](
                                      sluice::BatchTime, std::string_view key,
                                      std::span<const int64_t> counts,
                                      std::optional<int64_t> total) {
        return Add(key, counts, total, mended);
      })
      .SaveAsTextFiles(ssc.args().Get("output") + "/totals");
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "bad_lines", .batch_interval = 100ms}, BuildJob);
}
