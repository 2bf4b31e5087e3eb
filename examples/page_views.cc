// Hits and bytes per path over a sliding window, from the access logs of nginx; each batch's own
// with --print. --window and --slide are in seconds.
#include "examples/page_views.h"
#include "examples/source.h"

using namespace std::chrono_literals;

void BuildJob(sluice::StreamingContext& ssc) {
  sluice::DStream<examples::PathViews> views =
      examples::Lines(ssc).FlatMap(examples::ParseAccess);
  const std::chrono::seconds window(ssc.args().GetInt("window", 30));
  const std::chrono::seconds slide(ssc.args().GetInt("slide", 10));
  examples::ViewsOfWindow(views, {.length = window, .slide = slide})
      .SaveAsTextFiles(ssc.args().Get("output"));
  if (ssc.args().GetBool("print")) views.ReduceByKey(examples::Add).Print();
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "page_views", .batch_interval = 1s}, BuildJob);
}
