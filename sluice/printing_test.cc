#include "sluice/printing.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <thread>

namespace sluice {
namespace {

TEST(PrintingTest, OnAFullDiskItIsToBeTriedAgain) {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  EXPECT_TRUE(absl::IsUnavailable(PrintTo(full, "a batch\n")));
  close(full);
}

TEST(PrintingTest, APipeThatNobodyReadsHoldsNothingUp) {
  signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_TRUE(PrintTo(ends[1], "a batch\n").ok());
  close(ends[1]);
}

TEST(PrintingTest, AReaderThatIsSlowGetsAll) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
  ASSERT_EQ(fcntl(ends[0], F_SETFL, 0), 0);
  const std::string text(1 << 20, 'x');
  std::string read_back;
  std::thread reader([&] {
    std::string piece(4096, '\0');
    for (ssize_t got; (got = read(ends[0], piece.data(), piece.size())) > 0;) {
      read_back.append(piece, 0, static_cast<size_t>(got));
    }
  });
  EXPECT_TRUE(PrintTo(ends[1], text).ok());
  close(ends[1]);
  reader.join();
  close(ends[0]);
  EXPECT_EQ(read_back, text);
}

// A job that was started as `job >&-` printed into its checkpoint.
TEST(PrintingTest, AFileThatIsOpenedLaterIsNotStandardOutput) {
  const auto opens = [] {
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    HoldStandardDescriptors();
    const bool apart = open("/dev/zero", O_RDONLY) > STDERR_FILENO;
    _exit(apart && PrintTo(STDOUT_FILENO, "a batch\n").ok() ? 0 : 1);
  };
  EXPECT_EXIT(opens(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace sluice
