#include "common/config.h"

#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "common/nearest.h"
#include "common/units.h"

namespace sluice {
namespace {

TEST(UnitsTest, Durations) {
  EXPECT_EQ(ParseDurationMs("200ms"), 200);
  EXPECT_EQ(ParseDurationMs("1s"), 1000);
  EXPECT_EQ(ParseDurationMs("5m"), 300'000);
  EXPECT_EQ(ParseDurationMs("2h"), 7'200'000);
  for (const char* bad : {"", "1", "s", "-1s", "1.5s", "1 s", " 1s", "1s ", "1S", "1d", "+1s",
                          "99999999999999999999s", "9223372036854775807s"}) {
    EXPECT_EQ(ParseDurationMs(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(FormatDurationMs(90'000), "90s");
  EXPECT_EQ(FormatDurationMs(60'000), "1m");
  EXPECT_EQ(FormatDurationMs(1500), "1500ms");
  EXPECT_EQ(FormatDurationMs(0), "0ms");
}

TEST(UnitsTest, Sizes) {
  EXPECT_EQ(ParseBytes("100"), 100);
  EXPECT_EQ(ParseBytes("100B"), 100);
  EXPECT_EQ(ParseBytes("64KiB"), 65536);
  EXPECT_EQ(ParseBytes("64MiB"), 64 << 20);
  EXPECT_EQ(ParseBytes("2GiB"), int64_t{2} << 30);
  for (const char* bad : {"", "MiB", "64MB", "64M", "-1", "1.5GiB", "9999999999TiB"}) {
    EXPECT_EQ(ParseBytes(bad), std::nullopt) << bad;
  }
}

TEST(NearestTest, OffersWhatIsNear) {
  EXPECT_EQ(NearestName("partition", {"replication", "partitions"}), "partitions");
  EXPECT_EQ(NearestName("xyzzy", {"replication", "partitions"}), "");
  EXPECT_EQ(DidYouMean("hots", {"host", "port"}, "--"), "; did you mean --host?");
  EXPECT_EQ(DidYouMean("q", {"replication"}), "");
}

TEST(ConfigTest, DefaultsOfThePage) {
  const Config config;
  EXPECT_EQ(config.Number("key_groups"), 1024);
  EXPECT_EQ(config.Number("replication"), 2);
  EXPECT_EQ(config.Number("replication_min"), 1);
  EXPECT_FALSE(config.On("received_log"));
  EXPECT_FALSE(config.On("accept_loss"));
  EXPECT_EQ(config.Text("recovery"), "rollback");
  EXPECT_EQ(config.DurationMs("checkpoint_interval"), 10'000);
  EXPECT_TRUE(config.On("log_sync"));
  EXPECT_EQ(config.Number("task_max_failures"), 4);
  EXPECT_EQ(config.DurationMs("task_timeout"), 600'000);
  EXPECT_EQ(config.Text("on_batch_failure"), "stop");
  EXPECT_EQ(config.Number("driver_restarts"), 10);
  EXPECT_EQ(config.DurationMs("worker_lease"), 5000);
  EXPECT_EQ(config.DurationMs("drain_deadline"), 30'000);
  EXPECT_GT(config.Bytes("block_memory"), 1 << 20);
  EXPECT_EQ(config.Text("spill_dir"), "");
  EXPECT_EQ(config.Number("partitions"), 0);
  EXPECT_EQ(config.Number("max_rate"), 0);
  EXPECT_TRUE(config.On("backpressure"));
  EXPECT_EQ(config.Bytes("max_batch_input"), 0);
}

TEST(ConfigTest, TheBlockIntervalFollowsTheBatchInterval) {
  Config config;
  EXPECT_TRUE(config.Set(ConfSource::kProgram, "batch_interval", "100ms").ok());
  EXPECT_EQ(config.DurationMs("block_interval"), 50);
  EXPECT_TRUE(config.Set(ConfSource::kFlag, "batch_interval", "5s").ok());
  EXPECT_EQ(config.DurationMs("block_interval"), 200);
  EXPECT_TRUE(config.SetFlag("block_interval=1s").ok());
  EXPECT_EQ(config.DurationMs("block_interval"), 1000);
}

TEST(ConfigTest, TheStrongerSourceCountsInWhateverOrder) {
  Config config;
  EXPECT_TRUE(config.SetFlag("replication=5").ok());
  char variable[] = "SLUICE_REPLICATION=4";
  char* environment[] = {variable, nullptr};
  EXPECT_TRUE(config.ReadEnvironment(environment).ok());
  EXPECT_TRUE(config.Set(ConfSource::kFile, "replication", "3").ok());
  EXPECT_TRUE(config.Set(ConfSource::kProgram, "replication", "1").ok());
  EXPECT_EQ(config.Number("replication"), 5);
  EXPECT_NE(config.Explain().find("replication = 5  [--conf]  beats 4 [environment], "
                                  "3 [--conf-file], 1 [program], 2 [default]\n"),
            std::string::npos)
      << config.Explain();
}

TEST(ConfigTest, ExplainNamesEveryKey) {
  const std::string text = Config().Explain();
  for (const ConfKey& key : ConfKeys()) {
    EXPECT_NE(text.find(std::string(key.name) + " = "), std::string::npos) << key.name;
  }
  EXPECT_NE(text.find("worker_lease = 5s  [default]\n"), std::string::npos) << text;
}

TEST(ConfigTest, EveryDefaultWouldBeTaken) {
  for (const ConfKey& key : ConfKeys()) {
    if (key.otherwise.front() == '(') continue;
    Config config;
    const ExitStatus status = config.Set(ConfSource::kProgram, key.name, key.otherwise);
    EXPECT_TRUE(status.ok()) << status.message;
  }
}

TEST(ConfigTest, AnUnknownKeyIsRefusedWithTheNearest) {
  Config config;
  const ExitStatus status = config.SetFlag("partition=3");
  EXPECT_EQ(status.code, kExitRefused);
  EXPECT_EQ(status.message, "unknown configuration key: partition; did you mean partitions?");
}

TEST(ConfigTest, MalformedValuesAreUsageErrors) {
  for (const char* bad :
       {"batch_interval=4ms", "batch_interval=1", "partitions=0", "partitions=x", "partitions=-1",
        "log_sync=yes", "straggler_copies=maybe", "on_batch_failure=", "block_memory=0",
        "block_memory=101%", "max_rate=0", "spill_dir=relative", "replication", "=3", "",
        "worker_lease=1ms"}) {
    Config config;
    EXPECT_EQ(config.SetFlag(bad).code, kExitUsage) << bad;
    EXPECT_TRUE(config.Values().empty()) << bad;
  }
}

TEST(ConfigTest, NoneTakesALimitAway) {
  Config config;
  EXPECT_TRUE(config.Set(ConfSource::kProgram, "max_rate", "100").ok());
  EXPECT_EQ(config.Number("max_rate"), 100);
  EXPECT_TRUE(config.SetFlag("max_rate=none").ok());
  EXPECT_EQ(config.Number("max_rate"), 0);
}

TEST(ConfigTest, ReadsAFileAndNamesTheLine) {
  const std::string path = std::string(getenv("TEST_TMPDIR")) + "/conf";
  std::ofstream(path) << "# comment\n\n partitions = 12 \nlog_sync=off\r\n";
  Config config;
  EXPECT_TRUE(config.ReadFile(path).ok());
  EXPECT_EQ(config.Number("partitions"), 12);
  EXPECT_FALSE(config.On("log_sync"));
  std::ofstream(path) << "partitions = 12\nreplikation = 1\n";
  const ExitStatus status = config.ReadFile(path);
  EXPECT_EQ(status.code, kExitRefused);
  EXPECT_EQ(status.message, "unknown configuration key: replikation; did you mean replication? (" +
                                path + " line 2)");
  EXPECT_EQ(config.ReadFile("/nonexistent").code, kExitUsage);
  EXPECT_EQ(config.ReadFile(testing::TempDir()).code, kExitUsage);  // a directory
}

TEST(ConfigTest, TheEnvironmentIsReadByKey) {
  char lease[] = "SLUICE_WORKER_LEASE=9s", other[] = "SLUICE_DRIVER=h:1",
       token[] = "SLUICE_JOB_TOKEN=x", foreign[] = "PARTITIONS=3", odd[] = "SLUICE_";
  char* environment[] = {lease, other, token, foreign, odd, nullptr};
  Config config;
  const ExitStatus status = config.ReadEnvironment(environment);
  EXPECT_TRUE(status.ok()) << status.message;
  EXPECT_EQ(config.Values(), (std::map<std::string, std::string>{{"worker_lease", "9s"}}));
  char slip[] = "SLUICE_WORKER_LEAS=9s";
  char* slipped[] = {slip, nullptr};
  EXPECT_EQ(config.ReadEnvironment(slipped).code, kExitRefused);
  // Of our own unit of systemd; four edits away from worker_lease.
  char flags[] = "SLUICE_WORKER_FLAGS=--slots=2";
  char* unit[] = {flags, nullptr};
  EXPECT_TRUE(config.ReadEnvironment(unit).ok());
}

}  // namespace
}  // namespace sluice
