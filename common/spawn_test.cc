#include "common/spawn.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <sstream>

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

int64_t SizeOf(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 ? status.st_size : -1;
}

class SpawnTest : public testing::Test {
 protected:
  ProcessId Start(SpawnOptions options) {
    auto started = spawner_.Start(options, [this](const ProcessId& id, const ExitCause& cause) {
      ended_.set_value({id, cause});
    });
    EXPECT_TRUE(started.ok()) << started.status();
    return started.ok() ? *started : ProcessId{};
  }
  ProcessId StartShell(const std::string& script, SpawnOptions options = {}) {
    options.path = "/bin/sh";
    options.args = {"-c", script};
    return Start(options);
  }
  // A child that waits, using nothing, until it is killed or Release is called.
  ProcessId StartWaiting() { return StartShell("exec cat " + Fifo()); }
  std::string Fifo() {
    const std::string path = Path("fifo");
    mkfifo(path.c_str(), 0600);
    return path;
  }
  void Release() { std::ofstream(Path("fifo")).flush(); }  // opened and closed: end of file
  std::string AwaitEnd() { return ended_.get_future().get().second.Text(); }
  // A new folder for every test, repeated ones too.
  std::string Path(const std::string& name) {
    if (folder_.empty()) {
      folder_ = std::string(getenv("TEST_TMPDIR")) + "/spawn.XXXXXX";
      EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    }
    return folder_ + "/" + name;
  }
  std::string folder_;

  std::promise<std::pair<ProcessId, ExitCause>> ended_;
  Spawner spawner_;
};

TEST_F(SpawnTest, ReportsTheExitCode) {
  StartShell("exit 7");
  EXPECT_EQ(AwaitEnd(), "exit 7");
}

TEST_F(SpawnTest, ReportsTheSignal) {
  const ProcessId child = StartWaiting();
  EXPECT_TRUE(ProcessLives(child));
  EXPECT_TRUE(spawner_.Signal(child, SIGKILL));
  EXPECT_EQ(AwaitEnd(), "signal 9");
  EXPECT_FALSE(spawner_.Signal(child, SIGKILL));
  EXPECT_FALSE(ProcessLives(child));
}

TEST_F(SpawnTest, AMissingProgramIsNotFound) {
  auto started = spawner_.Start({.path = "/nonexistent/program", .argv0 = ""},
                                [](const ProcessId&, const ExitCause&) { FAIL(); });
  EXPECT_EQ(started.status().code(), absl::StatusCode::kNotFound) << started.status();
}

TEST_F(SpawnTest, PassesNameArgumentsEnvironmentAndDirectory) {
  SpawnOptions options;
  options.argv0 = "wordcount [job wc, executor 2]";
  options.env = {{"SLUICE_TEST", "a b"}};
  options.directory = "/";
  options.output = ChildOutput::kPumped;
  options.output_path = Path("out");
  StartShell("tr '\\0' '\\n' < /proc/$$/cmdline | head -1; echo \"$SLUICE_TEST\"; pwd; "
             "echo err >&2; ls /proc/self/fd | tr '\\n' ' '",
             options);
  EXPECT_EQ(AwaitEnd(), "exit 0");
  EXPECT_EQ(Contents(options.output_path),
            // Descriptor 3 is how ls reads the folder.
            "wordcount [job wc, executor 2]\na b\n/\nerr\n0 1 2 3 ");
}

TEST_F(SpawnTest, KeepsOutputWithinTwoFiles) {
  SpawnOptions options;
  options.output = ChildOutput::kPumped;
  options.output_path = Path("out");
  StartShell("head -c 30000000 /dev/zero; echo end", options);
  EXPECT_EQ(AwaitEnd(), "exit 0");
  EXPECT_LE(SizeOf(options.output_path), kOutputFileMax);
  EXPECT_GT(SizeOf(options.output_path + ".1"), kOutputFileMax - (1 << 17));
  EXPECT_LE(SizeOf(options.output_path + ".1"), kOutputFileMax);
  EXPECT_TRUE(Contents(options.output_path).ends_with("end\n"));
}

TEST_F(SpawnTest, DirectOutputIsAppended) {
  SpawnOptions options;
  options.output = ChildOutput::kDirect;
  options.output_path = Path("out");
  std::ofstream(options.output_path) << "before\n";
  StartShell("echo after", options);
  AwaitEnd();
  EXPECT_EQ(Contents(options.output_path), "before\nafter\n");
}

TEST_F(SpawnTest, TheEndIsReportedWhileAGrandchildHoldsTheOutput) {
  SpawnOptions options;
  options.output = ChildOutput::kPumped;
  options.output_path = Path("out");
  StartShell("cat " + Fifo() + " & echo started; exit 3", options);
  EXPECT_EQ(AwaitEnd(), "exit 3");
  EXPECT_EQ(Contents(options.output_path), "started\n");
  Release();
}

TEST_F(SpawnTest, FindsAProcessByPidAndStartTime) {
  const ProcessId self = FindProcess(getpid());
  EXPECT_EQ(self.pid, getpid());
  EXPECT_TRUE(ProcessLives(self));
  EXPECT_FALSE(ProcessLives({self.pid, self.start_time + 1}));
  EXPECT_FALSE(SignalProcess({self.pid, self.start_time + 1}, SIGKILL));
  EXPECT_FALSE(ProcessLives({}));
  const ProcessId child = StartWaiting();
  EXPECT_FALSE(AwaitProcessEnd(child, 0));
  EXPECT_TRUE(SignalProcess(child, SIGKILL));
  EXPECT_TRUE(AwaitProcessEnd(child, 10'000));
}

TEST_F(SpawnTest, RotatesTheOutputOfThisProcess) {
  const std::string path = Path("own");
  const int saved_out = dup(1), saved_err = dup(2);
  ASSERT_NE(freopen(path.c_str(), "a", stdout), nullptr);
  dup2(1, 2);
  fprintf(stderr, "0123456789");
  RotateOwnOutput(path, 11);
  fprintf(stderr, "x");
  RotateOwnOutput(path, 11);
  fprintf(stderr, "new");
  dup2(saved_out, 1);
  dup2(saved_err, 2);
  EXPECT_EQ(Contents(path + ".1"), "0123456789x");
  EXPECT_EQ(Contents(path), "new");
}

// A parent of its own: when it is killed, its child goes with it.
TEST_F(SpawnTest, AChildEndsWithItsParent) {
  SpawnOptions options;
  options.path = std::string(getenv("TEST_SRCDIR")) + "/sluice/common/spawn_parent";
  options.output = ChildOutput::kPumped;
  options.output_path = Path("out");
  options.args = {Fifo()};
  const ProcessId parent = Start(options);
  int64_t pid = 0;
  std::ifstream(options.args[0]) >> pid;  // the child is up
  const ProcessId child = FindProcess(pid);
  EXPECT_EQ(child.pid, pid);
  EXPECT_TRUE(spawner_.Signal(parent, SIGKILL));
  EXPECT_EQ(AwaitEnd(), "signal 9");
  EXPECT_TRUE(AwaitProcessEnd(child, 10'000));
}

}  // namespace
}  // namespace sluice
