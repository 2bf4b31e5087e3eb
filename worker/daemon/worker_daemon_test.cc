// The daemon as a whole, with real processes; the driver daemon and the job driver are the test.
#include "worker/daemon/worker_daemon.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/crypto.h"
#include "common/net/grpc_transport.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Everything that came to one address, to be waited for.
class Inbox : public Transport::Handler {
 public:
  void OnMessage(const std::string& from, proto::Envelope message) override {
    std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
    last_from_ = from;
    came_.notify_all();
  }
  void OnPeerDown(const std::string&, bool) override {}
  proto::Envelope Await(const std::function<bool(const proto::Envelope&)>& wanted) {
    std::unique_lock lock(mutex_);
    size_t seen = 0;
    while (true) {
      for (; seen < messages_.size(); ++seen) {
        if (wanted(messages_[seen])) return messages_[seen];
      }
      came_.wait(lock);
    }
  }
  void Clear() {
    std::lock_guard lock(mutex_);
    messages_.clear();
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<proto::Envelope> messages_;
  std::string last_from_;
};

std::string FileOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

std::string DigestOf(const std::string& bytes) {
  Sha256 sum;
  sum.Add(bytes);
  return sum.Hex();
}

class WorkerDaemonTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / ("sluice-worker-" + std::to_string(::getpid()));
    fs::remove_all(dir_);
    auto transport = GrpcTransport::Start({}, &inbox_);
    ASSERT_TRUE(transport.ok()) << transport.status();
    transport_ = std::move(*transport);
  }
  void TearDown() override {
    daemon_.reset();
    transport_.reset();
    fs::remove_all(dir_);
  }
  WorkerOptions Options() {
    WorkerOptions options;
    options.driver = transport_->address();
    options.slots = 2;
    options.data_dir = dir_;
    options.block_memory = 1 << 20;
    options.security.insecure = insecure_;
    options.fetch_binary = [this](const std::string&, const BinaryCache::Sink& sink) {
      return fetch_error_.ok() ? sink(binary_) : fetch_error_;
    };
    return options;
  }
  void StartDaemon() {
    auto daemon = WorkerDaemon::Start(Options());
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = std::move(*daemon);
  }
  void OpenSession() {
    proto::Envelope e;
    auto* session = e.mutable_job_session();
    session->set_job("wc");
    session->set_job_instance(7);
    session->set_epoch(1);
    session->set_lease_ms(5000);
    session->set_address(transport_->address());
    transport_->Send(daemon_->address(), e);
    inbox_.Await([](const auto& m) { return m.has_worker_inventory(); });
  }
  proto::ExecutorExited RunExecutor(const std::string& digest) {
    proto::Envelope e;
    auto* start = e.mutable_start_executor();
    start->set_job_instance(7);
    start->set_epoch(1);
    start->set_executor(1);
    start->set_role("tasks");
    start->set_job("wc");
    start->set_binary_digest(digest);
    transport_->Send(daemon_->address(), e);
    return inbox_.Await([](const auto& m) { return m.has_executor_exited(); }).executor_exited();
  }

  fs::path dir_;
  absl::Status fetch_error_;
  std::string binary_ = FileOf(std::string(getenv("TEST_SRCDIR")) +
                               "/sluice/worker/daemon/short_job");
  bool insecure_ = false;
  Inbox inbox_;
  std::unique_ptr<GrpcTransport> transport_;
  std::unique_ptr<WorkerDaemon> daemon_;
};

TEST_F(WorkerDaemonTest, RegistersUnderAnIdThatItKeepsAndANewIncarnation) {
  StartDaemon();
  const auto first = inbox_.Await([](const auto& m) { return m.has_worker_register(); });
  daemon_.reset();
  inbox_.Clear();
  StartDaemon();
  const auto second = inbox_.Await([](const auto& m) { return m.has_worker_register(); });
  EXPECT_EQ(first.worker_register().worker_id(), second.worker_register().worker_id());
  EXPECT_NE(first.worker_register().incarnation(), second.worker_register().incarnation());
}

TEST_F(WorkerDaemonTest, ASecondDaemonOnTheSameDirectoryIsRefused) {
  StartDaemon();
  EXPECT_TRUE(absl::IsFailedPrecondition(WorkerDaemon::Start(Options()).status()));
}

TEST_F(WorkerDaemonTest, AnExecutorThatEndsIsReportedWithItsCause) {
  StartDaemon();
  OpenSession();
  const auto exited = RunExecutor(DigestOf(binary_));
  EXPECT_EQ(exited.cause(), "exit 3");
  EXPECT_TRUE(exited.by_itself());
}

TEST_F(WorkerDaemonTest, TheStateOnDiskOfAnExecutorGoesWithItAndNothingElseDoes) {
  const fs::path work = dir_ / "work" / "wc";
  fs::create_directories(work / "state-of-a-user");
  StartDaemon();
  OpenSession();
  EXPECT_EQ(RunExecutor(DigestOf(binary_)).cause(), "exit 3");
  const std::string folder = FileOf(work / "state");
  ASSERT_TRUE(folder.starts_with("state-")) << folder;
  while (fs::exists(work / folder)) std::this_thread::yield();  // or the test's time is over
  EXPECT_TRUE(fs::exists(work / "state-of-a-user"));
}

TEST_F(WorkerDaemonTest, StateOnDiskOfAFormerLifeIsRemovedAtTheStart) {
  const fs::path work = dir_ / "work" / "wc";
  fs::create_directories(work / "state-77-1");
  fs::create_directories(work / "kept");
  StartDaemon();
  EXPECT_FALSE(fs::exists(work / "state-77-1"));
  EXPECT_TRUE(fs::exists(work / "kept"));
}

TEST_F(WorkerDaemonTest, AnExecutorIsStartedWithTheSecurityOfItsDaemon) {
  insecure_ = true;
  StartDaemon();
  OpenSession();
  EXPECT_EQ(RunExecutor(DigestOf(binary_)).cause(), "exit 31");
}

TEST_F(WorkerDaemonTest, ABinaryThatThisNodeCannotRunIsNeverStarted) {
  binary_ = "#!/bin/sh\ntouch started; echo of a length that a header of ELF would have too\n";
  StartDaemon();
  OpenSession();
  const auto exited = RunExecutor(DigestOf(binary_));
  EXPECT_TRUE(exited.refused());
  EXPECT_NE(exited.cause().find("no ELF program"), std::string::npos) << exited.cause();
  EXPECT_FALSE(fs::exists(dir_ / "work" / "wc"));
}

TEST_F(WorkerDaemonTest, ABinaryWithAnotherDigestIsRefused) {
  StartDaemon();
  OpenSession();
  const auto exited = RunExecutor(std::string(64, 'a'));
  EXPECT_TRUE(exited.could_not_start());
  EXPECT_NE(exited.cause().find("another digest"), std::string::npos) << exited.cause();
}

TEST_F(WorkerDaemonTest, ABinaryThatCannotBeFetchedIsReported) {
  fetch_error_ = absl::NotFoundError("no such binary");
  StartDaemon();
  OpenSession();
  EXPECT_EQ(RunExecutor(std::string(64, 'b')).cause(), "no such binary");
}

TEST_F(WorkerDaemonTest, DrainsAndEndsWithZero) {
  StartDaemon();
  OpenSession();
  daemon_->RequestDrain();
  EXPECT_EQ(daemon_->Wait().exit_code, 0);
}

}  // namespace
}  // namespace sluice
