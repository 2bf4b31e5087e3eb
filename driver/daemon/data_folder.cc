#include "driver/daemon/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "checkpoint/file_ops.h"
#include "common/crc32c.h"
#include "common/role_flags.h"
#include "common/status.h"

namespace sluice::daemon {
namespace {

namespace fs = std::filesystem;

constexpr char kMagic[] = "sluicejobtable1\n";
constexpr size_t kMagicSize = sizeof(kMagic) - 1;
constexpr size_t kTableBytesMax = 64 << 20;
constexpr std::streamoff kTailBytes = 4096;

absl::Status Failed(const std::string& what, const std::string& path) {
  std::string text = what + ": " + std::strerror(errno) + ": " + path;
  return errno == ENOSPC ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

// Empty when there is none.
absl::StatusOr<std::string> ReadFile(const std::string& path) {
  absl::StatusOr<std::string> bytes = FileOps::Posix()->Read(path);
  if (absl::IsNotFound(bytes.status())) return std::string();
  return bytes;
}

absl::Status WriteSynced(const std::string& path, const std::string& bytes) {
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Failed("cannot make file", path);
  absl::Status status;
  for (size_t done = 0; done < bytes.size() && status.ok();) {
    ssize_t written = write(fd, bytes.data() + done, bytes.size() - done);
    if (written > 0) done += written;
    if (written < 0 && errno != EINTR) status = Failed("cannot write", path);
  }
  if (status.ok() && fsync(fd) != 0) status = Failed("cannot sync", path);
  close(fd);
  return status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataFolder>> DataFolder::Open(const std::string& path) {
  std::error_code error;
  std::string root = fs::absolute(path, error).lexically_normal().string();
  fs::create_directories(root + "/jobs", error);
  if (error) {
    const std::string why = "cannot make folder: " + error.message() + ": " + root;
    const bool refused = error == std::errc::not_a_directory || error == std::errc::file_exists ||
                         error == std::errc::permission_denied;
    return refused ? absl::FailedPreconditionError(why) : absl::InternalError(why);
  }
  chmod(root.c_str(), 0700);
  std::string lock_path = root + "/LOCK";
  int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return Failed("cannot open", lock_path);
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    std::string owner = ReadFile(lock_path).value_or("");
    close(lock);
    return absl::FailedPreconditionError("another driver (process " + owner +
                                         ") has the data folder: " + root);
  }
  std::string pid = std::to_string(getpid());
  if (ftruncate(lock, 0) != 0 || write(lock, pid.data(), pid.size()) < 0) {
    absl::Status status = Failed("cannot write", lock_path);
    close(lock);
    return status;
  }
  return std::unique_ptr<DataFolder>(new DataFolder(root, lock));
}

DataFolder::~DataFolder() { close(lock_); }

absl::StatusOr<proto::JobTable> DataFolder::LoadTable() const {
  proto::JobTable table;
  if (access(TablePath().c_str(), F_OK) != 0) return table;
  std::error_code error;
  if (fs::file_size(TablePath(), error) > kTableBytesMax || error) {
    return absl::DataLossError("the job table is too large: " + TablePath());
  }
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(TablePath()));
  if (bytes.size() < kMagicSize + 4 || bytes.compare(0, kMagicSize, kMagic) != 0) {
    return absl::DataLossError("damaged job table (offset 0): " + TablePath());
  }
  uint32_t stored = 0;
  std::memcpy(&stored, bytes.data() + kMagicSize, 4);
  std::string_view body(bytes);
  body.remove_prefix(kMagicSize + 4);
  if (stored != Crc32c(body) ||
      !table.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return absl::DataLossError("damaged job table (checksum, offset " +
                               std::to_string(kMagicSize) + "): " + TablePath());
  }
  return table;
}

absl::Status DataFolder::SaveTable(const proto::JobTable& table) const {
  std::string body = table.SerializeAsString();
  uint32_t sum = Crc32c(body);
  std::string bytes = kMagic + std::string(reinterpret_cast<const char*>(&sum), 4) + body;
  std::string aside = TablePath() + ".new";
  if (bytes.size() > kTableBytesMax) {
    return absl::ResourceExhaustedError("the job table is too large: " + TablePath());
  }
  RETURN_IF_ERROR(WriteSynced(aside, bytes));
  if (rename(aside.c_str(), TablePath().c_str()) != 0) return Failed("cannot rename", aside);
  int folder = open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return Failed("cannot open", root_);
  absl::Status status = fsync(folder) == 0 ? absl::OkStatus() : Failed("cannot sync", root_);
  close(folder);
  return status;
}

absl::StatusOr<std::string> DataFolder::Node() const {
  const std::string path = root_ + "/NODE";
  ASSIGN_OR_RETURN(std::string node, ReadFile(path));
  if (node.size() == 16) return node;
  std::random_device random;
  char text[20];
  std::snprintf(text, sizeof(text), "%08x%08x", random(), random());
  RETURN_IF_ERROR(WriteSynced(path + ".new", text));
  if (rename((path + ".new").c_str(), path.c_str()) != 0) return Failed("cannot rename", path);
  return std::string(text);
}

std::string DataFolder::RunFolder(const std::string& job, const std::string& run) const {
  return root_ + "/jobs/" + job + "/" + run;
}

absl::StatusOr<std::string> DataFolder::MakeRun(const std::string& job,
                                                const std::string& run) const {
  std::string folder = RunFolder(job, run);
  std::error_code error;
  fs::directory_iterator other(root_ + "/jobs/" + job, error);
  for (; !error && other != fs::directory_iterator(); other.increment(error)) {
    std::error_code ignored;  // a leftover costs space only
    if (other->path().filename() != run) fs::remove_all(other->path(), ignored);
  }
  error.clear();
  fs::create_directories(folder + "/work", error);
  if (error) return absl::InternalError("cannot make folder: " + error.message() + ": " + folder);
  fs::remove(folder + "/" + kExitCodeFile, error);
  return folder;
}

void DataFolder::RemoveRuns(const std::string& job) const {
  std::error_code ignored;
  fs::remove_all(root_ + "/jobs/" + job, ignored);
}

int ReadExitCode(const std::string& run_folder) {
  int code = -1;
  std::ifstream file(run_folder + "/" + kExitCodeFile);
  return file >> code ? code : -1;
}

std::string LastLineOfOutput(const std::string& run_folder) {
  std::ifstream file(run_folder + "/" + kOutputFile, std::ios::binary | std::ios::ate);
  if (!file) return "";
  std::streamoff size = file.tellg();
  std::streamoff begin = std::max<std::streamoff>(0, size - kTailBytes);
  file.seekg(begin);
  std::string tail(static_cast<size_t>(kTailBytes), '\0');
  file.read(tail.data(), kTailBytes);
  tail.resize(static_cast<size_t>(file.gcount()));
  while (!tail.empty() && (tail.back() == '\n' || tail.back() == ' ')) tail.pop_back();
  std::string line = tail.substr(tail.rfind('\n') == tail.npos ? 0 : tail.rfind('\n') + 1);
  return line.substr(0, 500);
}

}  // namespace sluice::daemon
