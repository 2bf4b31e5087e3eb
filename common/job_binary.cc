#include "common/job_binary.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <future>
#include <memory>

#include "common/role_flags.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr int64_t kAnswerMs = 10'000;
constexpr size_t kAnswerBytesMax = 4096;
constexpr char kLibraryMissing[] = "error while loading shared libraries: ";

// What the program prints. No file: nothing is left behind, and a full disk changes no answer.
class Answer {
 public:
  Answer() {
    if (pipe2(ends_, O_CLOEXEC | O_NONBLOCK) != 0) error_ = errno;
  }
  ~Answer() {
    if (ends_[0] >= 0) close(ends_[0]);
    if (ends_[1] >= 0) close(ends_[1]);
  }
  int error() const { return error_; }
  std::string path() const { return "/proc/self/fd/" + std::to_string(ends_[1]); }
  std::string FirstLine() const {
    std::string said(kAnswerBytesMax, '\0');
    const ssize_t got = read(ends_[0], said.data(), said.size());
    said.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return said.substr(0, said.find('\n'));
  }

 private:
  int ends_[2] = {-1, -1};
  int error_ = 0;
};

// Of a program that could not be started: whether it never can be on this node.
bool IsAboutTheBinary(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsPermissionDenied(status) ||
         absl::IsFailedPrecondition(status);
}

}  // namespace

absl::Status CheckExecutable(const std::string& path) {
  Elf64_Ehdr header = {};
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot open " + path);
  const ssize_t got = pread(fd, &header, sizeof(header), 0);
  close(fd);
  if (got < static_cast<ssize_t>(sizeof(header)) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return absl::FailedPreconditionError("not a job binary: no ELF program");
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64) {
    return absl::FailedPreconditionError(
        "the binary is for another machine, not x86_64: ELF machine " +
        std::to_string(header.e_machine));
  }
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
    return absl::FailedPreconditionError("not a job binary: no executable but an object file");
  }
  return absl::OkStatus();
}

absl::Status CheckJobBinary(Spawner* spawner, const std::string& path, const std::string& node) {
  RETURN_IF_ERROR(CheckExecutable(path));
  const Answer answer;
  if (answer.error() != 0) return absl::ErrnoToStatus(answer.error(), "cannot ask the binary");
  auto ended = std::make_shared<std::promise<ExitCause>>();
  std::future<ExitCause> end = ended->get_future();
  SpawnOptions options;
  options.path = path;
  options.args = {kDescribeFlag};
  options.env = {{"SLUICE_TOKEN_FILE", ""}};  // where we may have found ours
  options.output = ChildOutput::kDirect;
  options.output_path = answer.path();
  const auto process = spawner->Start(
      options, [ended](const ProcessId&, const ExitCause& cause) { ended->set_value(cause); });
  if (!process.ok()) {
    const std::string why = "it cannot be started: " + std::string(Message(process.status()));
    return IsAboutTheBinary(process.status())
               ? absl::FailedPreconditionError("not a job binary: " + why)
               : absl::Status(process.status().code(), "the binary cannot be asked: " + why);
  }
  const bool in_time =
      end.wait_for(std::chrono::milliseconds(kAnswerMs)) == std::future_status::ready;
  if (!in_time) SignalProcess(*process, SIGKILL);
  const std::string line = answer.FirstLine();
  const auto protocol = ParseDescribeLine(line);
  if (protocol.ok() && *protocol == kProtocolVersion) return absl::OkStatus();
  if (protocol.ok()) {
    return absl::FailedPreconditionError("the binary is of another release: it speaks protocol " +
                                         std::to_string(*protocol) + ", " + node + " " +
                                         std::to_string(kProtocolVersion));
  }
  if (const size_t at = line.find(kLibraryMissing); at != line.npos) {
    return absl::FailedPreconditionError("shared libraries are missing on " + node + ": " +
                                         line.substr(at + std::strlen(kLibraryMissing)));
  }
  const bool killed = in_time && end.get() == ExitCause{true, SIGKILL};  // not by its own doing
  if (line.empty() && (!in_time || killed)) {
    return absl::DeadlineExceededError("the binary did not get to say who it is");
  }
  return absl::FailedPreconditionError("not a job binary: it does not answer as one (its "
                                       "main must call sluice::RunJob)");
}

}  // namespace sluice
