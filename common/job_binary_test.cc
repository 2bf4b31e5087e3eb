#include "common/job_binary.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "common/role_flags.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// This program is killed when it is asked who it is.
__attribute__((constructor)) void EndIfAsked(int argc, char** argv) {
  if (argc == 2 && argv[1] == std::string(kDescribeFlag)) raise(SIGKILL);
}

class JobBinaryTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) / "job-binary";
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  std::string Path(const std::string& name) { return dir_ / name; }
  std::string Refusal(const std::string& path) {
    const absl::Status status = CheckJobBinary(&spawner_, path, "node n1");
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    return std::string(status.message());
  }

  fs::path dir_;
  Spawner spawner_;
};

TEST_F(JobBinaryTest, JudgesProgramsByTheirHeader) {
  EXPECT_TRUE(CheckExecutable("/proc/self/exe").ok());
  std::ofstream(Path("text")) << "#!/bin/sh\necho hello to a file that is longer than a header\n";
  EXPECT_NE(Refusal(Path("text")).find("no ELF program"), std::string::npos);
  fs::copy_file("/proc/self/exe", Path("other"));
  std::fstream file(Path("other"), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(18);
  file.put('\xb7');  // AArch64
  file.close();
  EXPECT_NE(Refusal(Path("other")).find("another machine"), std::string::npos);
}

TEST_F(JobBinaryTest, AProgramThatKnowsNothingOfUsIsNoJobBinary) {
  EXPECT_EQ(Refusal("/bin/true"), "not a job binary: it does not answer as one "
                                   "(its main must call sluice::RunJob)");
}

// What the loader says is passed on with the place.
TEST_F(JobBinaryTest, NamesTheLibraryThatIsMissingAndTheNode) {
  std::ifstream self("/bin/ls", std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(self)), {});
  const size_t at = bytes.find("libc.so.6");
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 4, "libq");
  std::ofstream(Path("lacking"), std::ios::binary) << bytes;
  chmod(Path("lacking").c_str(), 0700);
  const std::string refusal = Refusal(Path("lacking"));
  EXPECT_EQ(refusal.find("shared libraries are missing on node n1: libq.so.6"), 0u) << refusal;
}

// A worker that was short of something once refused the binary for as long as the job lived.
TEST_F(JobBinaryTest, WhereNothingCanBeOpenedNothingIsSaidOfTheBinary) {
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const int last = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(last, 0);
  close(last);
  const rlimit one_more = {static_cast<rlim_t>(last) + 1, limit.rlim_max};  // to look at it
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &one_more), 0);
  const absl::Status status = CheckJobBinary(&spawner_, "/bin/true", "node n1");
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

TEST_F(JobBinaryTest, AProgramThatIsKilledBeforeItAnswersIsNotJudged) {
  const absl::Status status = CheckJobBinary(&spawner_, "/proc/self/exe", "node n1");
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
}

}  // namespace
}  // namespace sluice
