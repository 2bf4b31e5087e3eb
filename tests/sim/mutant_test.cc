// Linked with cores that have one deliberate fault (common/mutations.h): the simulator finds it.
#include <cstdio>

#include <gtest/gtest.h>

#include "common/mutations.h"
#include "glog/logging.h"
#include "tests/sim/seeds.h"

namespace sluice::sim {
namespace {

static_assert(SLUICE_MUTATION != 0, "a mutant has a mutation");

TEST(MutantTest, IsFoundWithinFiveThousandSeeds) {
  FLAGS_minloglevel = google::FATAL;
  const SeedsResult result = RunSeeds(1, 5000, /*until_broken=*/true);
  ASSERT_FALSE(result.broken.empty()) << "mutation " << SLUICE_MUTATION << " was not found";
  std::printf("mutation %d: seed %llu: %s\n", SLUICE_MUTATION,
              static_cast<unsigned long long>(result.broken.front().first),
              result.broken.front().second.c_str());
}

}  // namespace
}  // namespace sluice::sim
