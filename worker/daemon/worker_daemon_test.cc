// The daemon as a whole, with real processes; the driver daemon and the job driver are the test.
#include "worker/daemon/worker_daemon.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "common/crc32c.h"
#include "common/crypto.h"
#include "common/net/grpc_transport.h"
#include "worker/daemon/block_names.h"

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
    options.fetch_binary = [this](const std::string& digest, const BinaryCache::Sink& sink) {
      ++fetches_[digest];
      const auto file = files_.find(digest);
      if (file != files_.end()) return file->second.ok() ? sink(*file->second)
                                                         : file->second.status();
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
  using Files = std::vector<std::pair<std::string, std::string>>;  // name, digest
  proto::ExecutorExited RunExecutor(const std::string& digest, const Files& files = {}) {
    proto::Envelope e;
    const uint32_t id = next_executor_++;
    auto* start = e.mutable_start_executor();
    start->set_job_instance(7);
    start->set_epoch(1);
    start->set_executor(id);
    start->set_role("tasks");
    start->set_job("wc");
    start->set_binary_digest(digest);
    for (const auto& [name, file_digest] : files) {
      auto* file = start->add_files();
      file->set_name(name);
      file->set_digest(file_digest);
    }
    transport_->Send(daemon_->address(), e);
    const auto ended = [id](const proto::Envelope& m) {
      return m.has_executor_exited() && m.executor_exited().executor() == id;
    };
    return inbox_.Await(ended).executor_exited();
  }

  // A peer's block comes, and is stored.
  void CopyTo(uint64_t number) {
    const std::string bytes(600'000, 'x');
    proto::Envelope e;
    auto* copy = e.mutable_block_copy();
    *copy->mutable_block()->mutable_name() = NameOf({.job_instance = 7, .number = number});
    copy->mutable_block()->set_bytes(bytes.size());
    copy->mutable_block()->set_crc32c(Crc32c(bytes));
    copy->set_data(bytes);
    copy->set_last(true);
    transport_->Send(daemon_->address(), e);
    inbox_.Await([&](const auto& m) {
      return m.has_block_copied() && m.block_copied().name().number() == number;
    });
  }
  bool Fetch(uint64_t number, uint64_t request) {
    proto::Envelope e;
    *e.mutable_fetch_block()->mutable_name() = NameOf({.job_instance = 7, .number = number});
    e.mutable_fetch_block()->set_length(1);
    e.mutable_fetch_block()->set_request(request);
    transport_->Send(daemon_->address(), e);
    const auto answers = [&](const proto::Envelope& m) {
      return m.has_fetched_block() && m.fetched_block().request() == request;
    };
    return inbox_.Await(answers).fetched_block().found();
  }
  void DamageSpilled() {
    for (const auto& file : fs::recursive_directory_iterator(dir_)) {
      if (file.path().extension() != ".block") continue;
      std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      bytes.put('!');
    }
  }

  fs::path dir_;
  uint32_t next_executor_ = 1;
  std::map<std::string, absl::StatusOr<std::string>> files_;  // that can be fetched, by digest
  std::map<std::string, int> fetches_;                        // by digest
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
  EXPECT_NE(exited.cause().find("another digest"), std::string::npos) << exited.cause();
}

TEST_F(WorkerDaemonTest, ABinaryThatCannotBeFetchedIsReported) {
  fetch_error_ = absl::NotFoundError("no such binary");
  StartDaemon();
  OpenSession();
  EXPECT_EQ(RunExecutor(std::string(64, 'b')).cause(), "no such binary");
}

TEST_F(WorkerDaemonTest, AnExecutorFindsTheJobsFilesWhateverAFormerOneDidToThem) {
  const std::string words = "no ELF program at all\n", digest = DigestOf(words);
  files_.emplace(digest, words);
  StartDaemon();
  OpenSession();
  const fs::path work = dir_ / "work" / "wc";
  for (int i = 0; i < 3; ++i) {
    fs::remove(work / "seen");
    const auto exited =
        RunExecutor(DigestOf(binary_), {{"words.txt", digest}, {"again", digest}});
    ASSERT_EQ(exited.cause(), "exit 3");
    EXPECT_EQ(FileOf(work / "seen"), words);
    EXPECT_EQ(FileOf(work / "words.txt"), "ruined");
    EXPECT_EQ(FileOf(work / "again"), words);
    EXPECT_EQ(fs::status(work / "again").permissions(),
              fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_EQ(FileOf(dir_ / "binaries" / digest), words);
  }
  EXPECT_EQ(fetches_[digest], 1);
}

TEST_F(WorkerDaemonTest, ADamagedFileInTheCacheIsFetchedAnew) {
  const std::string words = "one\ntwo\n", digest = DigestOf(words);
  files_.emplace(digest, words);
  fs::create_directories(dir_ / "binaries");
  std::ofstream(dir_ / "binaries" / digest) << "one\n";
  StartDaemon();
  OpenSession();
  EXPECT_EQ(RunExecutor(DigestOf(binary_), {{"words.txt", digest}}).cause(), "exit 3");
  EXPECT_EQ(FileOf(dir_ / "work" / "wc" / "seen"), words);
}

TEST_F(WorkerDaemonTest, WhatTheJobPutInTheWayOfAFileIsNotWrittenThrough) {
  const std::string words = "words\n", digest = DigestOf(words);
  files_.emplace(digest, words);
  const fs::path work = dir_ / "work" / "wc";
  fs::create_directories(work);
  std::ofstream(dir_ / "elsewhere") << "untouched";
  fs::create_symlink(dir_ / "elsewhere", work / "again");
  fs::create_symlink(dir_ / "elsewhere", work / ".incoming");
  StartDaemon();
  OpenSession();
  EXPECT_EQ(RunExecutor(DigestOf(binary_), {{"again", digest}}).cause(), "exit 3");
  EXPECT_EQ(FileOf(dir_ / "elsewhere"), "untouched");
  EXPECT_FALSE(fs::is_symlink(work / "again"));
  EXPECT_EQ(FileOf(work / "again"), words);
}

TEST_F(WorkerDaemonTest, AnExecutorIsNotStartedWithoutAFileOfTheJobAndTheCauseIsNamed) {
  const std::string digest = DigestOf("words"), away(64, 'c'), other(64, 'e');
  files_.emplace(digest, "words");
  files_.emplace(away, absl::UnavailableError("the driver is away"));
  files_.emplace(other, "words");
  StartDaemon();
  OpenSession();
  fs::create_directories(dir_ / "work" / "wc" / "taken");
  struct Case {
    Files files;
    std::string cause;
  };
  const Case cases[] = {
      {{{"words.txt", away}}, "words.txt cannot be put there: the driver is away"},
      {{{"words.txt", other}}, "another digest"},
      {{{"words.txt", "../lock"}}, "without its digest"},
      {{{"taken", digest}}, "Is a directory"},
      {{{"a", digest}, {"a", digest}}, "two files of one name"},
      {{{"../escaped", digest}}, "starts with no dot: '../escaped'"},
      {{{"sub/words", digest}}, "starts with no dot: 'sub/words'"},
      {{{".words", digest}}, "starts with no dot: '.words'"},
      {{{"", digest}}, "starts with no dot: ''"},
      {{{"state-7-1", digest}}, "folders of their own: 'state-7-1'"},
  };
  for (const Case& c : cases) {
    const auto exited = RunExecutor(DigestOf(binary_), c.files);
    EXPECT_FALSE(exited.refused()) << c.cause;
    EXPECT_NE(exited.cause().find(c.cause), std::string::npos) << exited.cause();
  }
  EXPECT_FALSE(fs::exists(dir_ / "work" / "escaped"));
  EXPECT_FALSE(fs::exists(dir_ / "work" / "wc" / "seen"));
  EXPECT_EQ(RunExecutor(DigestOf(binary_), {{"words.txt", digest}}).cause(), "exit 3");
}

TEST_F(WorkerDaemonTest, ASpilledBlockThatIsDamagedIsSaidToBeGoneWhenItIsAskedFor) {
  StartDaemon();
  OpenSession();
  CopyTo(1);
  uint64_t next = 2;
  do {  // more than the memory takes
    CopyTo(next);
    DamageSpilled();
  } while (Fetch(1, next++) && next < 1000);
  for (int again = 0; again < 2; ++again) EXPECT_FALSE(Fetch(1, next++));  // it may be the disk
  const auto gone = inbox_.Await([](const auto& m) {
    return m.has_block_copied() && !m.block_copied().ok();
  });
  EXPECT_EQ(gone.block_copied().name().number(), 1u);
}

TEST_F(WorkerDaemonTest, DrainsAndEndsWithZero) {
  StartDaemon();
  OpenSession();
  daemon_->RequestDrain();
  EXPECT_EQ(daemon_->Wait().exit_code, 0);
}

}  // namespace
}  // namespace sluice
