#include "common/metrics.h"

#include <limits>

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(MetricsTest, ShowsFamiliesInThePrometheusFormat) {
  Metrics metrics;
  metrics.AddCounter("sluice_batches_total", "Decided batches.", {{"job", "wc"}})->Add(3);
  metrics.AddCounter("sluice_batches_total", "Decided batches.", {{"job", "ab"}})->Add();
  metrics.AddGauge("sluice_workers", "Workers.")->Set(-2);
  metrics.AddGauge("sluice_delay_seconds", "Delay.", {}, [] { return 0.25; });
  EXPECT_EQ(metrics.PrometheusText(),
            "# HELP sluice_batches_total Decided batches.\n"
            "# TYPE sluice_batches_total counter\n"
            "sluice_batches_total{job=\"ab\"} 1\n"
            "sluice_batches_total{job=\"wc\"} 3\n"
            "# HELP sluice_delay_seconds Delay.\n"
            "# TYPE sluice_delay_seconds gauge\n"
            "sluice_delay_seconds 0.25\n"
            "# HELP sluice_workers Workers.\n"
            "# TYPE sluice_workers gauge\n"
            "sluice_workers -2\n");
}

TEST(MetricsTest, OneObjectPerNameAndLabels) {
  Metrics metrics;
  Counter* counter = metrics.AddCounter("a_total", "A.", {{"x", "1"}});
  EXPECT_EQ(counter, metrics.AddCounter("a_total", "A.", {{"x", "1"}}));
  EXPECT_NE(counter, metrics.AddCounter("a_total", "A.", {{"x", "2"}}));
}

TEST(MetricsTest, EscapesWhatUsersChose) {
  Metrics metrics;
  metrics.AddGauge("g", "a\\b\nc", {{"x", "q\"\\\n"}});
  EXPECT_EQ(metrics.PrometheusText(),
            "# HELP g a\\\\b\\nc\n# TYPE g gauge\ng{x=\"q\\\"\\\\\\n\"} 0\n");
}

TEST(MetricsTest, ShowsNumbersThatAreNone) {
  Metrics metrics;
  using Limits = std::numeric_limits<double>;
  metrics.AddGauge("g", "G.", {{"x", "1"}}, [] { return Limits::quiet_NaN(); });
  metrics.AddGauge("g", "G.", {{"x", "2"}}, [] { return Limits::infinity(); });
  EXPECT_NE(metrics.PrometheusText().find("g{x=\"1\"} NaN\ng{x=\"2\"} +Inf\n"), std::string::npos);
}

TEST(MetricsTest, ARemovedCounterMayStillBeCounted) {
  Metrics metrics;
  Counter* counter = metrics.AddCounter("a_total", "A.", {{"job", "wc"}});
  metrics.AddCounter("a_total", "A.", {{"job", "other"}});
  metrics.Remove("job", "wc");
  counter->Add();
  EXPECT_EQ(metrics.PrometheusText(),
            "# HELP a_total A.\n# TYPE a_total counter\na_total{job=\"other\"} 0\n");
}

}  // namespace
}  // namespace sluice
