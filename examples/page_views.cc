// Hits and bytes per path over a sliding window, from the access logs of nginx; each batch's own
// with --print. --window and --slide are in seconds.
#include <charconv>

#include "examples/source.h"
#include "sluice/sluice.h"

using namespace std::chrono_literals;

struct Views {
  int64_t hits = 0;
  int64_t bytes = 0;
};
using PathViews = std::pair<std::string, Views>;

Views Add(const Views& a, const Views& b) { return {a.hits + b.hits, a.bytes + b.bytes}; }
Views Subtract(const Views& a, const Views& b) { return {a.hits - b.hits, a.bytes - b.bytes}; }

// ADDRESS - USER [TIME] "METHOD PATH?QUERY PROTOCOL" STATUS BYTES ...; nothing for other lines.
std::vector<PathViews> Parse(std::string_view line) {
  const size_t open = line.find('"');
  const size_t close = open == line.npos ? line.npos : line.find('"', open + 1);
  if (close == line.npos) return {};
  const auto request = sluice::SplitWords(line.substr(open + 1, close - open - 1));
  const auto numbers = sluice::SplitWords(line.substr(close + 1));
  if (request.size() != 3 || numbers.size() < 2) return {};
  int64_t bytes = 0;
  std::from_chars(numbers[1].data(), numbers[1].data() + numbers[1].size(), bytes);
  const std::string_view path = request[1].substr(0, request[1].find('?'));
  return {{std::string(path), Views{1, bytes}}};
}

void BuildJob(sluice::StreamingContext& ssc) {
  sluice::DStream<PathViews> views = examples::Lines(ssc).FlatMap(Parse);
  const std::chrono::seconds window(ssc.args().GetInt("window", 30));
  const std::chrono::seconds slide(ssc.args().GetInt("slide", 10));
  views.ReduceByKeyAndWindow(Add, Subtract, {.length = window, .slide = slide})
      .Filter([](const PathViews& row) { return row.second.hits > 0; })
      .SaveAsTextFiles(ssc.args().Get("output"));
  if (ssc.args().GetBool("print")) views.ReduceByKey(Add).Print();
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "page_views", .batch_interval = 1s}, BuildJob);
}
