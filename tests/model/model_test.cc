// The design holds in every interleaving, and each of its rules is needed.
#include "tests/model/model.h"

#include <string>

#include "gtest/gtest.h"

namespace sluice::model {
namespace {

std::string Story(const Result& result) {
  std::string story = result.broken + " after " + std::to_string(result.states) + " states";
  for (const std::string& step : result.trace) story += "\n  " + step;
  return story;
}

void ExpectHolds(const Bounds& bounds) {
  const Result result = Explore(Rules{}, bounds);
  EXPECT_EQ(result.broken, "") << Story(result);
  EXPECT_TRUE(result.complete) << result.states;
  EXPECT_GT(result.ends, 0u);
  std::printf("%llu states, %llu ends\n", static_cast<unsigned long long>(result.states),
              static_cast<unsigned long long>(result.ends));
}

TEST(ModelTest, ATakeoverAtAnyMoment) {
  ExpectHolds({.executor_crashes = 0, .records = 2, .attempts = 1});
}

TEST(ModelTest, ATakeoverAtAnyMomentWithARecordSentTwice) {
  ExpectHolds({.executor_crashes = 0, .records = 1, .attempts = 2});
}

TEST(ModelTest, ATakeoverAndAnExecutorsCrashAtAnyMoments) {
  ExpectHolds({.executor_crashes = 1, .records = 1, .attempts = 1});
}

struct Removal {
  const char* name;
  bool Rules::*rule;
  Bounds bounds;
};
void PrintTo(const Removal& removal, std::ostream* out) { *out << removal.name; }

class RemovedRuleTest : public testing::TestWithParam<Removal> {};

TEST_P(RemovedRuleTest, IsMissed) {
  Rules rules;
  rules.*GetParam().rule = false;
  const Result result = Explore(rules, GetParam().bounds);
  EXPECT_NE(result.broken, "") << result.states << " states, and nothing was found";
  std::printf("%s\n", Story(result).c_str());
}

constexpr Bounds kTakeover{.executor_crashes = 0, .records = 2, .attempts = 2};
constexpr Bounds kCrash{.executor_crashes = 1, .records = 1, .attempts = 1};

INSTANTIATE_TEST_SUITE_P(
    Each, RemovedRuleTest,
    testing::Values(
        Removal{"PutIfAbsent", &Rules::put_if_absent, kTakeover},
        Removal{"AckAfterLogged", &Rules::ack_after_logged, kTakeover},
        Removal{"ProducerNumbers", &Rules::producer_numbers, kTakeover},
        Removal{"PlanIsFixed", &Rules::plan_is_fixed, kTakeover},
        Removal{"ShareOfOwnGeneration", &Rules::share_of_own_generation, kTakeover},
        Removal{"ReportOfOwnGeneration", &Rules::report_of_own_generation, kTakeover},
        Removal{"LayersDropped", &Rules::layers_dropped, kCrash},
        Removal{"StateRolledBack", &Rules::state_rolled_back, kCrash},
        Removal{"DecidedLayersOnly", &Rules::decided_layers_only, kTakeover},
        Removal{"PublishAfterDecided", &Rules::publish_after_decided, kTakeover}),
    [](const testing::TestParamInfo<Removal>& removal) { return removal.param.name; });

}  // namespace
}  // namespace sluice::model
