#include "common/role_flags.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using Args = std::vector<std::string>;

TEST(RoleFlags, WithoutThemAProcessIsLocal) {
  Args args = {"--host=web1", "--", "--sluice-role=driver"};
  Args before = args;
  auto flags = TakeRoleFlags(&args);
  ASSERT_TRUE(flags.ok());
  EXPECT_EQ(flags->role, Role::kLocal);
  EXPECT_EQ(args, before);
}

TEST(RoleFlags, DriverReadsWhatTheDaemonWrote) {
  DriverRoleFlags driver{"wc", "127.0.0.1:7000", "127.0.0.1", "/data/jobs/wc", "abc", "wordcount"};
  Args args = FormatRoleFlags(driver);
  args.insert(args.begin() + 2, "--conf=partitions=4");
  args.push_back("--host=web1");
  auto flags = TakeRoleFlags(&args);
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->role, Role::kDriver);
  EXPECT_EQ(flags->driver.job, "wc");
  EXPECT_EQ(flags->driver.daemon, "127.0.0.1:7000");
  EXPECT_EQ(flags->driver.data, "/data/jobs/wc");
  EXPECT_EQ(flags->driver.digest, "abc");
  EXPECT_EQ(flags->driver.program, "wordcount");
  EXPECT_EQ(args, (Args{"--conf=partitions=4", "--host=web1"}));
}

TEST(RoleFlags, ExecutorReadsWhatTheWorkerWrote) {
  ExecutorRoleFlags executor;
  executor.executor = 3;
  executor.epoch = 9;
  executor.instance = 0xfedcba9876543210;
  executor.job = "wc";
  executor.kind = ExecutorKind::kReceivers;
  executor.slots = 2;
  executor.streams = {1, 5};
  executor.incarnations = {7, 0xffffffffffffffff};
  Args args = FormatRoleFlags(executor);
  auto flags = TakeRoleFlags(&args);
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->role, Role::kExecutor);
  EXPECT_EQ(flags->executor.executor, 3u);
  EXPECT_EQ(flags->executor.epoch, 9u);
  EXPECT_EQ(flags->executor.instance, executor.instance);
  EXPECT_EQ(flags->executor.kind, ExecutorKind::kReceivers);
  EXPECT_EQ(flags->executor.streams, executor.streams);
  EXPECT_EQ(flags->executor.incarnations, executor.incarnations);
  EXPECT_TRUE(args.empty());
}

TEST(RoleFlags, RefusesWhatItDoesNotUnderstand) {
  for (const Args& bad : {Args{"--sluice-role=boss"}, Args{"--sluice-job=wc"},
                          Args{"--sluice-role=driver", "--sluice-job=wc"},
                          Args{"--sluice-role=driver", "--sluice-jobs=wc"},
                          Args{"--sluice-role=executor", "--sluice-epoch=-1"}}) {
    Args args = bad;
    EXPECT_EQ(TakeRoleFlags(&args).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(RoleFlags, DescribeGoesBeforeAnythingElse) {
  Args args = {"--sluice-describe", "--anything"};
  auto flags = TakeRoleFlags(&args);
  ASSERT_TRUE(flags.ok());
  EXPECT_EQ(flags->role, Role::kDescribe);
  auto protocol = ParseDescribeLine(DescribeLine());
  ASSERT_TRUE(protocol.ok());
  EXPECT_EQ(*protocol, kProtocolVersion);
  EXPECT_FALSE(ParseDescribeLine("hello").ok());
  EXPECT_FALSE(ParseDescribeLine("{\"sluice\":\"1\"}").ok());
}

TEST(RoleFlags, TitlesNameTheProgramAndTheJob) {
  DriverRoleFlags driver;
  driver.job = "wc";
  EXPECT_EQ(ProcessTitle("wordcount", driver), "wordcount [job wc, driver]");
  ExecutorRoleFlags executor;
  executor.job = "wc";
  executor.executor = 2;
  EXPECT_EQ(ProcessTitle("wordcount", executor), "wordcount [job wc, executor 2]");
}

}  // namespace
}  // namespace sluice
