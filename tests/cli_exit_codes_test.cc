// The exit codes of the `sluice` command, on the real command and real daemons: scripts rely on
// them. Each row is something a person types.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/spawn.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

const char* const kSluice = "sluice/cli/sluice";
const char* const kJob = "examples/wordcount";

struct Result {
  int code = -1;
  std::string output;  // standard error and output together
};

Result Type(const std::string& words) {
  std::string command = std::string("timeout 60 ") + kSluice + " " + words + " 2>&1 </dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  Result result;
  char buffer[4096];
  for (size_t got; (got = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) {
    result.output.append(buffer, got);
  }
  int status = pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

std::string ReadLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// One driver and, where asked for, one worker; both are gone at the end.
class CliTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "/cli_" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(root_);
    unsetenv("SLUICE_DRIVER");
    unsetenv("SLUICE_BATCH_INTERVAL");
  }
  void TearDown() override {
    for (const ProcessId& process : processes_) {
      SignalProcess(process, SIGTERM);
      if (!AwaitProcessEnd(process, 20'000)) SignalProcess(process, SIGKILL);
    }
  }
  // Starts a daemon and waits until it says where it is.
  std::string Start(std::vector<std::string> args, const std::string& name) {
    std::string port_file = root_ + "/" + name + ".port";
    args.push_back("--port-file=" + port_file);
    SpawnOptions options;
    options.path = kSluice;
    options.args = std::move(args);
    options.output = ChildOutput::kDirect;
    options.output_path = root_ + "/" + name + ".log";
    auto process = spawner_.Start(options, [](const ProcessId&, const ExitCause&) {});
    EXPECT_TRUE(process.ok()) << process.status();
    processes_.push_back(*process);
    while (ProcessLives(*process) && !fs::exists(port_file)) AwaitProcessEnd(*process, 20);
    return ReadLine(port_file);
  }
  void StartDriver() {
    driver_ = Start({"driver", "--listen=127.0.0.1:0", "--data-dir=" + root_ + "/driver"},
                    "driver");
    setenv("SLUICE_DRIVER", driver_.c_str(), 1);
  }
  void StartWorker() {
    Start({"worker", "--slots=2", "--data-dir=" + root_ + "/worker"}, "worker");
  }
  struct Row {
    std::string words;
    int code;
    std::string says;
  };
  void Check(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      Result result = Type(row.words);
      EXPECT_EQ(result.code, row.code) << row.words << "\n" << result.output;
      EXPECT_NE(result.output.find(row.says), std::string::npos)
          << row.words << "\n" << result.output;
    }
  }

  Spawner spawner_;
  std::string root_;
  std::string driver_;
  std::vector<ProcessId> processes_;
};

TEST_F(CliTest, WhatIsTypedWrongIsFoundWithoutAskingAnybody) {
  std::string text = root_ + "/text", other = root_ + "/other/text", state = root_ + "/state-1-1";
  fs::create_directory(root_ + "/other");
  for (const std::string& path : {text, other, state}) std::ofstream(path) << "text\n";
  const std::string nobody = " --driver=127.0.0.1:1 ";
  Check({
      {"", 2, "usage"},
      {"sumbit", 2, "did you mean submit?"},
      {"job lst", 2, "did you mean list?"},
      {"job", 2, "needs one of"},
      {"job list", 2, "SLUICE_DRIVER"},
      {"job list --drivr=x:1", 2, "did you mean --driver?"},
      {"job list --driver=127.0.0.1:65536", 2, "port out of range"},
      {"job list --driver=127.0.0.1", 2, "HOST:PORT"},
      {"job list -o yaml" + nobody, 2, "json"},
      {"job status" + nobody, 2, "needs NAME"},
      {"job status .x" + nobody, 2, "job name"},
      {"job drain x --deadline=60" + nobody, 2, "duration"},
      {"submit" + nobody + "--name=wc " + root_ + "/none", 2, "No such file"},
      {"submit" + nobody + text, 2, "--name"},
      {"submit" + nobody + "--name=a/b " + text, 2, "job name"},
      {"submit" + nobody + "--name=wc --checkpoint=ftp://x " + text, 2, "scheme"},
      {"submit" + nobody + "--name=wc --conf=x " + text, 2, "KEY=VALUE"},
      {"submit" + nobody + "--name=wc --file=" + root_ + "/none " + text, 2, "No such file"},
      {"submit" + nobody + "--name=wc " + text + " -- --fresh --discard-checkpoint", 2,
       "--fresh is a flag of `sluice submit`"},
      {"submit" + nobody + "--name=wc " + text + " -- --explain", 2, "--explain is for a job that"},
      {"submit" + nobody + "--name=wc --file=" + text + " --file=" + other + " " + text, 2,
       "two files of one name"},
      {"submit" + nobody + "--name=wc --file=" + state + " " + text, 2, "folders of their own"},
      {"push" + nobody + "--job=wc", 2, "--stream"},
      {"push" + nobody + "--job=wc --stream=s --batch=0", 2, "out of range"},
      {"worker" + nobody + "--data-dir=" + root_ + "/w --slots=0", 2, "out of range"},
      {"driver --data-dir=" + root_ + "/d --listen=127.0.0.1:x", 2, "HOST:PORT"},
      {"driver", 2, "--data-dir"},
  });
}

TEST_F(CliTest, HelpAndVersionAreThereForEveryCommand) {
  for (const char* command : {"", "driver", "worker", "submit", "push", "job list", "job status",
                              "job drain", "job cancel", "job logs", "job accept-loss",
                              "worker list", "worker drain", "conf explain", "checkpoint list",
                              "checkpoint verify", "job checkpoints"}) {
    Result result = Type(std::string(command) + " --help");
    EXPECT_EQ(result.code, 0) << command;
    EXPECT_NE(result.output.find("usage: sluice"), std::string::npos) << command;
  }
  EXPECT_EQ(Type("--version").code, 0);
}

TEST_F(CliTest, ADriverThatIsNotThereIsFour) {
  Check({{"job list --driver=127.0.0.1:1 --connect-timeout=200ms", 4, "127.0.0.1:1"},
         // What is typed goes before who can be reached, and that before what is refused.
         {"submit --driver=127.0.0.1:1 --connect-timeout=200ms --name=wc --checkpoint=hdfs://b/p " +
              std::string(kJob), 4, "cannot reach"}});
}

TEST_F(CliTest, CheckpointsAndDrainsOfWhatIsNotThere) {
  const std::string nobody = " --driver=127.0.0.1:1 --connect-timeout=200ms";
  Check({{"checkpoint list rocksdb:" + root_ + "/none", 1, "no job has a checkpoint"},
         {"checkpoint verify rocksdb:" + root_ + "/none", 1, "no job has a checkpoint"},
         {"checkpoint list ftp://x", 2, "ftp://x"},
         {"checkpoint verify hdfs://host/x", 3, "hdfs://"},
         {"checkpoint list", 2, "URL"},
         {"job checkpoints wc" + nobody, 4, "cannot reach"},
         {"worker drain w1" + nobody, 4, "cannot reach"},
         {"worker drain ../w1" + nobody, 2, "worker id"},
         {"worker drain w1 --deadline=soon" + nobody, 2, "--deadline"}});
  EXPECT_FALSE(fs::exists(root_ + "/none"));  // looking makes nothing
}

TEST_F(CliTest, ADaemonSaysWhyItCannotStart) {
  StartDriver();
  const std::string dir = " --data-dir=" + root_;
  Check({{"driver --listen=" + driver_ + dir + "/other", 3, "port in use"},
         {"driver --listen=127.0.0.1:0" + dir + "/driver", 3, "has the data folder"},
         {"driver --listen=0.0.0.0:0" + dir + "/other", 3, "loopback"},
         {"driver --listen=127.0.0.1:0 --conf=worker_lese=1s" + dir + "/other", 3, "worker_lease"},
         {"worker --listen=0.0.0.0:0 --slots=1" + dir + "/w", 3, "loopback"},
         {"worker --listen=" + driver_ + " --slots=1" + dir + "/w", 3, "port in use"}});
}

TEST_F(CliTest, ADamagedJobTableIsEightAndNamed) {
  fs::create_directories(root_ + "/driver");
  std::ofstream(root_ + "/driver/jobs.table") << "sluicejobtable1\nfour and more";
  Check({{"driver --listen=127.0.0.1:0 --data-dir=" + root_ + "/driver", 8, "jobs.table"}});
}

TEST_F(CliTest, WhatNoJobCanBeIsRefusedByTheDriver) {
  StartDriver();
  std::string text = root_ + "/text";
  std::ofstream(text) << "#!/bin/sh\nsleep 1000 # longer than the header of a program\n";
  std::string other = root_ + "/other";
  fs::copy_file(kJob, other);
  fs::permissions(other, fs::perms::owner_all);
  std::fstream file(other, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(18);
  file.put('\xb7');
  file.close();
  Check({{"submit --name=wc " + text, 3, "not a job binary"},
         {"submit --name=wc " + other, 3, "another machine"},
         {"submit --name=wc /bin/true", 3, "not a job binary"},
         {"submit --name=wc --checkpoint=hdfs://host/p " + std::string(kJob), 3, "hdfs://"},
         {"submit --name=wc --conf=received_log=on " + std::string(kJob), 3, "received_log"},
         {"submit --name=wc --conf=nope=1 " + std::string(kJob) + " -- --output=/tmp/x", 3, "nope"},
         {"submit --name=wc " + std::string(kJob) + " -- --push=s --outptu=/tmp/x", 2, "--output"},
         {"submit --name=wc " + std::string(kJob) + " -- --dir=in --output=/tmp/x", 2, "see: ./in"},
         {"submit --name=wc --conf=recovery=never " + std::string(kJob), 2, "rollback|deltas"},
         {"conf explain " + std::string(kJob) + " --conf=recovery=delta", 2, "rollback|deltas"},
         {"conf explain " + std::string(kJob) + " --conf=recovery=deltas", 0, "recovery = deltas"},
         {"conf explain " + std::string(kJob) + " --conf=partitons=2", 3, "partitions"},
         {"conf explain " + std::string(kJob) + " --conf=partitions=2", 0, "partitions = 2"},
         {"conf explain " + text, 3, "not a job binary"}});
}

TEST_F(CliTest, NothingOfThatNameIsOne) {
  StartDriver();
  Check({{"job status nobody", 1, "no job of this name"},
         {"job drain nobody", 1, "no job of this name"},
         {"job cancel nobody", 1, "no job of this name"},
         {"job logs nobody", 1, "no job of this name"},
         {"job accept-loss nobody", 1, "no job of this name"},
         {"push --job=nobody --stream=s", 1, "no job of this name"},
         {"job list", 0, "NAME"},
         {"worker list", 0, "ID"}});
}

TEST_F(CliTest, AJobFromItsSubmissionToItsEnd) {
  StartDriver();
  const std::string job = std::string(kJob) + " -- --push=lines --output=" + root_ + "/out/t";
  const std::string submit = "submit --conf batch_interval=100ms --name=";
  Check({{submit + "early " + job, 0, "WAITING"}, {"job cancel early", 0, "CANCELLED"}});
  StartWorker();
  while (Type("worker list -o json").output.find("\"UP\"") == std::string::npos) {
  }
  std::string input = root_ + "/input";
  std::ofstream(input) << "a b\nb\nc";
  const std::string all = "--conf max_slots=2 ";  // that there are: it gives none back
  Check({{submit + "wc " + all + "--checkpoint=rocksdb:" + root_ + "/ck " + job, 0, "wc RUNNING"},
         {submit + "wc " + job, 3, "running already"},
         {submit + "second " + job, 0, "no free slot"},
         {"job cancel second", 0, "CANCELLED"},
         {"push --job=wc --stream=lines --producer=p " + input, 0, "acknowledged 3"},
         {"push --job=wc --stream=lines --producer=p " + input, 0, "acknowledged 3"},
         {"push --job=wc --stream=other " + input, 1, "no stream of this name"},
         {"job list -o json", 0, "\"name\":\"wc\",\"state\":\"RUNNING\""},
         {"job drain wc --deadline=60s", 0, "wc FINISHED"},
         {"job list -o json", 0, "\"records_total\":3"},
         {"job drain wc", 1, "has ended"},
         {submit + "wc --fresh --checkpoint=rocksdb:" + root_ + "/ck " + job, 3, "--fresh"},
         {submit + "wc --checkpoint=rocksdb:" + root_ + "/ck " + job, 0, "wc RUNNING"},
         {"job cancel wc", 0, "wc CANCELLED"}});
}

// It was the other way round.
TEST_F(CliTest, TheEnvironmentOfASubmissionCountsAndThatOfTheDriverDoesNot) {
  setenv("SLUICE_BATCH_INTERVAL", "700ms", 1);
  setenv("SLUICE_PARTITION", "3", 1);  // a slip, that no submission has made
  StartDriver();
  unsetenv("SLUICE_PARTITION");
  setenv("SLUICE_BATCH_INTERVAL", "300ms", 1);
  const std::string args = std::string(kJob) + " -- --push=lines --output=" + root_ + "/out";
  const std::string typed = "--conf batch_interval=400ms ";
  Check({{"submit --name=set " + args, 0, "WAITING"},
         {"job status set -o json", 0, "\"batch_interval_ms\":300"},
         {"submit --name=typed " + typed + args, 0, "WAITING"},
         {"job status typed -o json", 0, "\"batch_interval_ms\":400"}});
  unsetenv("SLUICE_BATCH_INTERVAL");
  Check({{"submit --name=plain " + args, 0, "WAITING"},
         {"job status plain -o json", 0, "\"batch_interval_ms\":1000"},
         {"job cancel set", 0, "CANCELLED"},
         {"job cancel typed", 0, "CANCELLED"},
         {"job cancel plain", 0, "CANCELLED"}});
}

}  // namespace
}  // namespace sluice
