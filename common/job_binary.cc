#include "common/job_binary.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <future>
#include <memory>

#include "common/role_flags.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr int64_t kAnswerMs = 10'000;
constexpr size_t kAnswerBytesMax = 4096;
constexpr char kLibraryMissing[] = "error while loading shared libraries: ";

std::string FirstLineOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string said(kAnswerBytesMax, '\0');
  file.read(said.data(), static_cast<std::streamsize>(said.size()));
  said.resize(static_cast<size_t>(file.gcount()));
  return said.substr(0, said.find('\n'));
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

absl::Status CheckJobBinary(Spawner* spawner, const std::string& path, const std::string& scratch,
                            const std::string& node) {
  RETURN_IF_ERROR(CheckExecutable(path));
  auto ended = std::make_shared<std::promise<ExitCause>>();
  std::future<ExitCause> end = ended->get_future();
  SpawnOptions options;
  options.path = path;
  options.args = {kDescribeFlag};
  options.env = {{"SLUICE_TOKEN_FILE", ""}};  // where we may have found ours
  options.output = ChildOutput::kDirect;
  options.output_path = scratch;
  const auto process = spawner->Start(
      options, [ended](const ProcessId&, const ExitCause& cause) { ended->set_value(cause); });
  if (!process.ok()) {
    return absl::FailedPreconditionError("not a job binary: it cannot be started: " +
                                         std::string(Message(process.status())));
  }
  const bool in_time =
      end.wait_for(std::chrono::milliseconds(kAnswerMs)) == std::future_status::ready;
  if (!in_time) SignalProcess(*process, SIGKILL);
  const std::string line = FirstLineOf(scratch);
  unlink(scratch.c_str());
  const auto protocol = ParseDescribeLine(line);
  if (in_time && protocol.ok() && *protocol == kProtocolVersion) return absl::OkStatus();
  if (in_time && protocol.ok()) {
    return absl::FailedPreconditionError("the binary is of another release: it speaks protocol " +
                                         std::to_string(*protocol) + ", " + node + " " +
                                         std::to_string(kProtocolVersion));
  }
  if (const size_t at = line.find(kLibraryMissing); at != line.npos) {
    return absl::FailedPreconditionError("shared libraries are missing on " + node + ": " +
                                         line.substr(at + std::strlen(kLibraryMissing)));
  }
  return absl::FailedPreconditionError("not a job binary: it does not answer as one");
}

}  // namespace sluice
