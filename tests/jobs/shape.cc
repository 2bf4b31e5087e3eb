// Counts lines by their first word, and is another program with each value of --shape: "first";
// "more", with a filter in front, another output and another state beside it; "fraction", with the
// same state of another type.
#include <string>
#include <string_view>

#include "examples/source.h"
#include "sluice/sluice.h"

using namespace std::chrono_literals;

template <class Number>
std::optional<Number> Total(std::span<const Number> counts, std::optional<Number> total) {
  Number sum = total.value_or(Number{});
  for (const Number count : counts) sum += count;
  return sum;
}

template <class Number>
void CountWords(sluice::StreamingContext& ssc, sluice::DStream<std::string> lines,
                const std::string& state) {
  lines
      .Map([](std::string_view line) {
        return std::pair{line.substr(0, line.find(' ')), Number{1}};
      })
      .UpdateStateByKey(state, Total<Number>)
      .SaveAsTextFiles(ssc.args().Get("output") + "/" + state);
}

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string shape = ssc.args().Get("shape");
  auto lines = examples::Lines(ssc);
  if (shape == "fraction") return CountWords<double>(ssc, lines, "words");
  if (shape == "first") return CountWords<int64_t>(ssc, lines, "words");
  auto chosen = lines.Filter([](std::string_view line) { return line.find("not") == line.npos; });
  CountWords<int64_t>(ssc, chosen, "words");
  CountWords<int64_t>(ssc, chosen, "since");
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "shape", .batch_interval = 100ms}, BuildJob);
}
