// Page views per page over the last half minute, every ten seconds, from lines
// "URL STATUS ZIP-CODE USER-ID"; and the share of failed views of each batch with --print.
#include "examples/source.h"
#include "sluice/sluice.h"

using namespace std::chrono_literals;

struct View {
  std::string url;
  int32_t status = 0;
  int32_t zip_code = 0;
  int64_t user_id = 0;
};

// Nothing for a line that is no view.
std::vector<View> Parse(std::string_view line) {
  const std::vector<std::string_view> fields = sluice::SplitWords(line);
  if (fields.size() != 4) return {};
  const auto number = [&](int i) { return std::atoll(std::string(fields[i]).c_str()); };
  return {{std::string(fields[0]), static_cast<int32_t>(number(1)),
           static_cast<int32_t>(number(2)), number(3)}};
}

struct Failures {
  int64_t failed = 0;
  int64_t all = 0;
};

void BuildJob(sluice::StreamingContext& ssc) {
  sluice::DStream<View> views = examples::Lines(ssc).FlatMap(Parse);
  views.Map([](const View& view) { return std::pair{view.url, int64_t{1}}; })
      .ReduceByKeyAndWindow(std::plus<>(), std::minus<>(), {.length = 30s, .slide = 10s})
      .SaveAsTextFiles(ssc.args().Get("output"));
  if (!ssc.args().GetBool("print")) return;
  views
      .Map([](const View& view) {
        return std::pair{view.zip_code, Failures{view.status != 200, 1}};
      })
      .ReduceByKey([](const Failures& a, const Failures& b) {
        return Failures{a.failed + b.failed, a.all + b.all};
      })
      .Print();
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "page_views", .batch_interval = 1s}, BuildJob);
}
