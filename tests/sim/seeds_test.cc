// The whole cluster, a thousand lives.
#include "tests/sim/seeds.h"

#include <gtest/gtest.h>

#include "glog/logging.h"

namespace sluice::sim {
namespace {

TEST(SimulatorTest, AThousandSeedsKeepEveryPromiseAndMeetEveryFault) {
  FLAGS_minloglevel = google::FATAL;
  const SeedsResult result = RunSeeds(1, 1000, /*until_broken=*/false);
  Print(result);
  for (const auto& [seed, what] : result.broken) ADD_FAILURE() << "seed " << seed << ": " << what;
  for (const std::string& what : NeverHappened(result)) ADD_FAILURE() << what << " never happened";
}

}  // namespace
}  // namespace sluice::sim
