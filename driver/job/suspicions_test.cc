#include "driver/job/suspicions.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr int64_t kLease = 1'000'000;

TEST(SuspicionsTest, WhomTwoCannotReachLeavesAtOnce) {
  Suspicions suspicions(kLease);
  suspicions.Report(0, 1, 3);
  EXPECT_EQ(suspicions.Verdict(0, 4), std::nullopt);
  suspicions.Report(0, 1, 3);
  EXPECT_EQ(suspicions.Verdict(0, 4), std::nullopt) << "one that says it twice";
  suspicions.Report(0, 2, 3);
  EXPECT_EQ(suspicions.Verdict(0, 4), 3u);
}

TEST(SuspicionsTest, OfTwoMembersTheReportedOneLeaves) {
  Suspicions suspicions(kLease);
  suspicions.Report(0, 1, 2);
  EXPECT_EQ(suspicions.Verdict(0, 2), 2u);
}

TEST(SuspicionsTest, APairThatStaysCutLosesItsYoungerOne) {
  Suspicions suspicions(kLease);
  for (int64_t now = 0; now < kLease / 2; now += kLease / 10) {
    suspicions.Report(now, 1, 2);
    suspicions.Report(now, 2, 1);
    EXPECT_EQ(suspicions.Verdict(now, 4), std::nullopt);
  }
  suspicions.Report(kLease / 2, 1, 2);
  EXPECT_EQ(suspicions.Verdict(kLease / 2, 4), 2u);
}

TEST(SuspicionsTest, WhatIsNotRepeatedIsForgotten) {
  Suspicions suspicions(kLease);
  suspicions.Report(0, 1, 3);
  EXPECT_EQ(suspicions.Verdict(2 * kLease + 1, 4), std::nullopt);
  suspicions.Report(2 * kLease + 1, 2, 3);
  EXPECT_EQ(suspicions.Verdict(2 * kLease + 1, 4), std::nullopt) << "two that are far apart";
}

}  // namespace
}  // namespace sluice
