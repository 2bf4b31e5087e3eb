// Every record is "PAGE ID" with an ID that occurs once, so that a lost and a doubled record are
// each visible. Outputs, one directory per batch each:
//   ids     all records of the batch;
//   totals  records by page since the start: state that outlives every process;
//   chain   by page a number that depends on every record since the start *and their order*;
//   page    hits by page over a sliding window, with an inverse;
//   latest  the last record by page over a sliding window, which depends on order as well.
#include "tests/jobs/ledger_job.h"

#include <unistd.h>

#include <csignal>

namespace sluice::tests {
namespace {

using namespace std::chrono_literals;

std::pair<std::string_view, std::string_view> PageAndId(std::string_view line) {
  const size_t blank = line.find(' ');
  return {line.substr(0, blank), line.substr(blank + 1)};
}

int64_t SumOf(std::span<const int64_t> counts, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t count : counts) sum += count;
  return sum;
}

// No two orders of the same ids give the same number, but by rare chance.
uint64_t Chain(std::span<const std::string> ids, std::optional<uint64_t> before) {
  uint64_t chain = before.value_or(1);
  for (const std::string& id : ids) {
    for (const char c : id) chain = (chain ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  }
  return chain;
}

// Whoever removes the file is the one task that dies of it.
void DieIfDoomed(const std::string& file) {
  if (unlink(file.c_str()) == 0) raise(SIGKILL);
}

}  // namespace

JobOptions LedgerOptions(Args args) {
  return {.name = "ledger", .batch_interval = 100ms, .args = std::move(args)};
}

void BuildLedger(StreamingContext& ssc) {
  const std::string output = ssc.args().Get("output");
  const std::string doom = ssc.args().Get("doom", "/nowhere");
  auto lines = ssc.Union({ssc.TextFileStream(ssc.args().Get("dir")), ssc.PushStream("ids")});
  lines.SaveAsTextFiles(output + "/ids");

  auto counted = lines.Map([doom](std::string_view line) {
    DieIfDoomed(doom + "/map");
    return std::pair{PageAndId(line).first, int64_t{1}};
  });
  counted.ReduceByKey(std::plus<>())
      .UpdateStateByKey("totals",
                        [doom](std::span<const int64_t> counts, std::optional<int64_t> total) {
                          DieIfDoomed(doom + "/update");
                          return std::optional{SumOf(counts, total)};
                        })
      .SaveAsTextFiles(output + "/totals");
  lines.Map(PageAndId)
      .UpdateStateByKey("chain",
                        [](std::span<const std::string> ids, std::optional<uint64_t> before) {
                          return std::optional{Chain(ids, before)};
                        })
      .SaveAsTextFiles(output + "/chain");
  counted.ReduceByKeyAndWindow(std::plus<>(), std::minus<>(), {.length = 500ms, .slide = 200ms})
      .SaveAsTextFiles(output + "/page");
  lines.Map(PageAndId)
      .ReduceByKeyAndWindow([](const std::string&, const std::string& later) { return later; },
                            {.length = 400ms, .slide = 200ms})
      .SaveAsTextFiles(output + "/latest");
}

}  // namespace sluice::tests
