// From a build function and a command line to graph and configuration.
#include "driver/api/api.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/driver_role.h"

namespace sluice {
namespace {

using testing::HasSubstr;

// The settings that the build function makes.
std::vector<std::pair<std::string, std::string>> g_settings;

ExitStatus Build(const std::vector<std::pair<std::string, std::string>>& settings,
                 const std::vector<std::string>& words, BuiltProgram* built) {
  g_settings = settings;
  const auto build = [](StreamingContext& ssc) {
    for (const auto& [key, value] : g_settings) ssc.Set(key, value);
    ssc.ConstantStream(std::vector<int64_t>{1}).Print();
  };
  const JobOptions options{.name = "test", .conf = {{"replication", "3"}}};
  return BuildProgram(words, options, build, {}, built);
}

// They counted in tests and embedded contexts, and not in the job itself.
TEST(BuildProgramTest, WhatTheBuildFunctionSetsCounts) {
  BuiltProgram built;
  const ExitStatus status =
      Build({{"on_batch_failure", "skip"}, {"bad_records", "aside"}, {"replication", "4"}},
            {"--conf=bad_records=stop"}, &built);
  ASSERT_TRUE(status.ok()) << status.message;
  EXPECT_EQ(built.config.Text("on_batch_failure"), "skip");
  EXPECT_EQ(built.config.Text("bad_records"), "stop") << "what was typed wins";
  EXPECT_EQ(built.config.Number("replication"), 4) << "the later one counts";
}

TEST(BuildProgramTest, WhatTheBuildFunctionSetsIsChecked) {
  BuiltProgram unknown, malformed;
  EXPECT_EQ(Build({{"no_such_key", "1"}}, {}, &unknown).code, kExitRefused);
  EXPECT_EQ(Build({{"replication", "many"}}, {}, &malformed).code, kExitUsage);
}

// The graph is made for the one that was there before.
TEST(BuildProgramTest, ABuildFunctionCannotSetTheBatchInterval) {
  BuiltProgram built, typed;
  const ExitStatus status = Build({{"batch_interval", "2s"}}, {}, &built);
  EXPECT_EQ(status.code, kExitRefused);
  EXPECT_THAT(status.message, HasSubstr("batch_interval cannot be set by the build function"));
  EXPECT_TRUE(Build({{"batch_interval", "2s"}}, {"--conf=batch_interval=3s"}, &typed).ok());
  EXPECT_EQ(typed.context->batch_interval(), std::chrono::seconds(3));
}

TEST(BuildProgramTest, TheProgramsCheckpointCountsWhereNoneWasTyped) {
  const JobOptions options{.name = "test", .checkpoint = "rocksdb:/d"};
  const auto build = [](StreamingContext& ssc) {
    ssc.ConstantStream(std::vector<int64_t>{1}).Print();
  };
  BuiltProgram built, typed;
  ASSERT_TRUE(BuildProgram({}, options, build, {}, &built).ok());
  EXPECT_EQ(built.flags.checkpoint, "rocksdb:/d");
  EXPECT_EQ(built.context->options().checkpoint, "rocksdb:/d");
  ASSERT_TRUE(BuildProgram({"--checkpoint=rocksdb:/e"}, options, build, {}, &typed).ok());
  EXPECT_EQ(typed.flags.checkpoint, "rocksdb:/e");

  const ExitStatus unknown = CheckCheckpointTyped(built.flags, options);
  EXPECT_EQ(unknown.code, kExitRefused) << "its daemon would know of none";
  EXPECT_THAT(unknown.message, HasSubstr("--checkpoint=rocksdb:/d"));
  EXPECT_TRUE(CheckCheckpointTyped(typed.flags, options).ok());
}

TEST(BuildProgramTest, ARelativeDirectoryIsOfNoOtherProcess) {
  const auto build = [](StreamingContext& ssc) {
    ssc.TextFileStream(ssc.args().Get("dir")).Print();
  };
  for (const std::string dir : {"in", ".", "in/../other"}) {
    BuiltProgram built;
    ASSERT_TRUE(BuildProgram({"--dir=" + dir}, {.name = "test"}, build, {}, &built).ok());
    const ExitStatus status = CheckDirectories(built.context->graph());
    EXPECT_EQ(status.code, kExitUsage) << dir;
    EXPECT_THAT(status.message, HasSubstr("must be an absolute path"));
  }
  BuiltProgram absolute;
  ASSERT_TRUE(BuildProgram({"--dir=/in"}, {.name = "test"}, build, {}, &absolute).ok());
  EXPECT_TRUE(CheckDirectories(absolute.context->graph()).ok());
}

// "a port must be between 1 and 65535; it is 0", where no flag was needed.
TEST(BuildProgramTest, ToBeExplainedAGraphNeedsNoRequiredFlag) {
  const auto build = [](StreamingContext& ssc) {
    Args& args = ssc.args();
    const std::chrono::seconds window(args.GetInt("window"));
    const auto length = static_cast<uint32_t>(args.GetInt("length"));
    ssc.SocketTextStream(args.Get("host"), static_cast<int>(args.GetInt("port")))
        .Union(ssc.PushStream(args.Get("stream")))
        .Union(ssc.BinaryRecordsStream(args.Get("dir"), length))
        .Window({.length = window})
        .Print();
    ssc.Remember(window);
  };
  BuiltProgram shown, run, wrong;
  const ExitStatus status = BuildProgram({}, {.name = "test"}, build, {.complete = false}, &shown);
  EXPECT_TRUE(status.ok()) << status.message;
  EXPECT_EQ(BuildProgram({}, {.name = "test"}, build, {}, &run).message, "missing flag --window");
  const std::vector<std::string> all = {"--window=0", "--host=h", "--port=1",
                                        "--stream=s", "--dir=/d", "--length=1"};
  EXPECT_FALSE(BuildProgram(all, {.name = "test"}, build, {.complete = false}, &wrong).ok());
}

// "missing flag --slots", though it was typed.
TEST(BuildProgramTest, AProgramThatAsksForAFlagOfSluicesOwnIsRefusedByName) {
  const auto build = [](StreamingContext& ssc) {
    ssc.TextFileStream(ssc.args().Get("log")).Print();
  };
  BuiltProgram built;
  const ExitStatus status =
      BuildProgram({"--log=rocksdb:/logs"}, {.name = "test"}, build, {}, &built);
  EXPECT_EQ(status.code, kExitRefused);
  EXPECT_THAT(status.message, HasSubstr("asks for --log"));
}

}  // namespace
}  // namespace sluice
