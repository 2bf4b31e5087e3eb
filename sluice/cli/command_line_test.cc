#include "sluice/cli/command_line.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "sluice/cli/line_reader.h"
#include "sluice/cli/values.h"

namespace sluice::cli {
namespace {

using Words = std::vector<std::string>;

Command Sample() {
  Command command;
  command.name = "submit";
  command.positional = "BINARY";
  command.positional_min = command.positional_max = 1;
  command.takes_rest = true;
  command.flags = {{"name", "NAME", ""}, {"conf", "K=V", "", true}, {"wait", "", ""},
                   {"o", "json", ""}};
  return command;
}

TEST(CommandLine, FlagsStandOnEitherSideInBothForms) {
  auto typed = ParseWords(Sample(), {"--name", "wc", "./wordcount", "--conf=a=1", "--conf", "b=2",
                                     "-o", "json", "--wait", "--", "--name=other"});
  ASSERT_TRUE(typed.ok()) << typed.status();
  EXPECT_EQ(typed->Get("name"), "wc");
  EXPECT_EQ(typed->All("conf"), (Words{"a=1", "b=2"}));
  EXPECT_EQ(typed->Get("o"), "json");
  EXPECT_TRUE(typed->Has("wait"));
  EXPECT_EQ(typed->positional, Words{"./wordcount"});
  EXPECT_EQ(typed->rest, Words{"--name=other"});
}

TEST(CommandLine, WrongWordsAreRefusedWithTheNearestName) {
  struct Row { Words words; const char* says; } rows[] = {
      {{"--nme=wc", "x"}, "--nme; did you mean --name?"},
      {{"--zzzzzz", "x"}, "unknown flag: --zzzzzz"},
      {{"x", "--name"}, "needs a value"},
      {{"x", "--name", "--"}, "needs a value"},
      {{"x", "--name="}, "needs a value"},
      {{"x", "--name", ""}, "needs a value"},
      {{"x", "--wait=soon"}, "takes no value"},
      {{"x", "y"}, "one word too many"},
      {{}, "needs BINARY"},
      {{"-z", "x"}, "unknown flag"}};
  for (const Row& row : rows) {
    auto typed = ParseWords(Sample(), row.words);
    EXPECT_EQ(typed.status().code(), absl::StatusCode::kInvalidArgument) << row.says;
    EXPECT_NE(typed.status().ToString().find(row.says), std::string::npos) << typed.status();
  }
}

// A job "-x-" could be submitted, and then neither shown nor stopped.
TEST(CommandLine, APositionalArgumentMayBeginWithADashBehindTwoDashes) {
  Command command = Sample();
  command.takes_rest = false;
  auto typed = ParseWords(command, {"--wait", "--", "-x-"});
  ASSERT_TRUE(typed.ok()) << typed.status();
  EXPECT_EQ(typed->positional, Words{"-x-"});
  EXPECT_TRUE(absl::IsInvalidArgument(ParseWords(command, {"x", "--", "-y"}).status()));
}

TEST(CommandLine, HelpAsksForNothingElse) {
  for (const char* word : {"--help", "-h"}) {
    auto typed = ParseWords(Sample(), {word});
    ASSERT_TRUE(typed.ok());
    EXPECT_TRUE(typed->Has("help"));
  }
}

TEST(CommandLine, CommandsOfOneAndTwoWords) {
  std::vector<Command> commands(5);
  commands[3].name = "worker";
  commands[4].name = "worker list";
  commands[0].name = "submit";
  commands[1].name = "job list";
  commands[2].name = "job drain";
  Words words = {"job", "drain", "wc"};
  auto command = FindCommand(commands, &words);
  ASSERT_TRUE(command.ok());
  EXPECT_EQ((*command)->name, "job drain");
  EXPECT_EQ(words, Words{"wc"});
  for (Words typed : {Words{"worker", "list"}, Words{"worker", "--slots=2"}}) {
    std::string name = (*FindCommand(commands, &typed))->name;
    EXPECT_EQ(name, typed.empty() ? "worker list" : "worker");
  }
  struct Row { Words words; const char* says; } rows[] = {
      {{"sumbit"}, "sumbit; did you mean submit?"}, {{"job"}, "needs one of list|drain"},
      {{"job", "lst"}, "lst; did you mean list?"}, {{"job", "--help"}, "needs one of"}};
  for (Row& row : rows) {
    auto none = FindCommand(commands, &row.words);
    EXPECT_EQ(none.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(none.status().ToString().find(row.says), std::string::npos) << none.status();
  }
}

TEST(Values, DurationsAndNumbers) {
  EXPECT_EQ(*ParseDurationMs("--deadline", "200ms"), 200);
  EXPECT_EQ(*ParseDurationMs("--deadline", "1s"), 1000);
  EXPECT_EQ(*ParseDurationMs("--deadline", "5m"), 300'000);
  for (const char* bad : {"", "5", "s", "-1s", "1 s", "1x", "99999999999999999999s"}) {
    EXPECT_FALSE(ParseDurationMs("--deadline", bad).ok()) << bad;
  }
  EXPECT_TRUE(ParseInteger("--slots", "4", 1, 10).ok());
  for (const char* bad : {"0", "11", "x", "", "1.5"}) {
    EXPECT_FALSE(ParseInteger("--slots", bad, 1, 10).ok()) << bad;
  }
}

TEST(Values, CheckpointUrls) {
  EXPECT_TRUE(CheckCheckpointUrl("rocksdb:/data/wc").ok());
  EXPECT_TRUE(CheckCheckpointUrl("s3://bucket/wc").ok());
  EXPECT_EQ(CheckCheckpointUrl("hdfs://host/wc").code(), absl::StatusCode::kUnimplemented);
  for (const char* bad : {"", "rocksdb:", "rocksdb:data", "ftp://x", "/data/wc", "s3://bucket"}) {
    EXPECT_EQ(CheckCheckpointUrl(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_TRUE(CheckLogUrl("rocksdb:/data/log").ok());
  for (const char* bad : {"", "rocksdb:data", "s3://bucket/log", "hdfs://host/log"}) {
    EXPECT_EQ(CheckLogUrl(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(LineReader, GivesLinesAndALastOneWithoutItsNewline) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  LineReader reader(ends[0]);
  EXPECT_FALSE(*reader.Fill(0));
  ASSERT_EQ(write(ends[1], "one\n\nthr", 8), 8);
  EXPECT_TRUE(*reader.Fill(0));
  EXPECT_EQ(reader.Next(), "one");
  EXPECT_EQ(reader.Next(), "");
  EXPECT_EQ(reader.Next(), std::nullopt);
  ASSERT_EQ(write(ends[1], "ee", 2), 2);
  close(ends[1]);
  while (!reader.ended() && *reader.Fill(-1)) {
    if (auto line = reader.Next()) {
      EXPECT_EQ(*line, "three");
    }
  }
  EXPECT_TRUE(reader.ended());
  close(ends[0]);
}

}  // namespace
}  // namespace sluice::cli
