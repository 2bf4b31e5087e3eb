// Preloaded into a process, a layer between it and its files that fails as disks do. Only files
// below FAULTY_DIR are touched.
//
//   FAULTY_CALL=read|write|sync with FAULTY_NTH=N   the N-th such call fails once with EIO, and is
//                                                   noted by making the file FAULTY_NOTE
//   FAULTY_SYNCED=FILE       of every sync that succeeded: inode and size, 16 bytes
//   FAULTY_SKIP_SYNC=SUFFIX  files with this ending are never synced, though the call succeeds
//
// What a failed sync should have made durable is lost for good, as in a kernel that has dropped the
// pages: later syncs of that file succeed and are not in FAULTY_SYNCED. Whoever syncs it again and
// takes the second answer for the first loses it at the next power cut (damage.py).
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

enum class Call { kRead, kWrite, kSync };

struct Plan {
  const char* directory = std::getenv("FAULTY_DIR");
  const char* call = std::getenv("FAULTY_CALL");
  const char* note = std::getenv("FAULTY_NOTE");
  const char* skip = std::getenv("FAULTY_SKIP_SYNC");
  const char* synced = std::getenv("FAULTY_SYNCED");
  std::atomic<uint64_t> lost = 0;  // inode of the file whose sync failed
  std::atomic<long> left = std::getenv("FAULTY_NTH") ? std::atol(std::getenv("FAULTY_NTH")) : 0;
};

Plan& plan() {
  static Plan* plan = new Plan;
  return *plan;
}

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// Whether the descriptor is of a file below the directory; its path then.
bool Ours(int fd, char (&path)[4096]) {
  if (plan().directory == nullptr) return false;
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return false;
  path[size] = '\0';
  return std::strncmp(path, plan().directory, std::strlen(plan().directory)) == 0;
}

bool EndsWith(const char* path, const char* suffix) {
  const size_t size = std::strlen(path), wanted = std::strlen(suffix);
  return size >= wanted && std::strcmp(path + size - wanted, suffix) == 0;
}

bool Fails(Call call, int fd) {
  static constexpr const char* kNames[] = {"read", "write", "sync"};
  Plan& p = plan();
  if (p.call == nullptr || std::strcmp(p.call, kNames[static_cast<int>(call)]) != 0) return false;
  char path[4096];
  if (p.left <= 0 || !Ours(fd, path) || --p.left != 0) return false;
  const int note = open(p.note, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  (void)!Real<ssize_t (*)(int, const void*, size_t)>("write")(note, path, std::strlen(path));
  close(note);
  struct stat info;
  if (call == Call::kSync && fstat(fd, &info) == 0) p.lost = info.st_ino;
  errno = EIO;
  return true;
}

void NoteSynced(int fd) {
  if (plan().synced == nullptr) return;
  char path[4096];
  struct stat info;
  if (!Ours(fd, path) || fstat(fd, &info) != 0) return;
  if (info.st_ino == plan().lost) return;
  const uint64_t entry[2] = {info.st_ino, static_cast<uint64_t>(info.st_size)};
  const int out = open(plan().synced, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  (void)!Real<ssize_t (*)(int, const void*, size_t)>("write")(out, entry, sizeof entry);
  close(out);
}

int Sync(const char* name, int fd) {
  if (Fails(Call::kSync, fd)) return -1;
  char path[4096];
  if (plan().skip != nullptr && Ours(fd, path) && EndsWith(path, plan().skip)) return 0;
  const int result = Real<int (*)(int)>(name)(fd);
  if (result == 0) NoteSynced(fd);
  return result;
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* bytes, size_t size) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t)>("write");
  return Fails(Call::kWrite, fd) ? -1 : real(fd, bytes, size);
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return Fails(Call::kWrite, fd) ? -1 : real(fd, bytes, size, at);
}

ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t at) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  return Fails(Call::kWrite, fd) ? -1 : real(fd, bytes, size, at);
}

ssize_t read(int fd, void* bytes, size_t size) {
  static const auto real = Real<ssize_t (*)(int, void*, size_t)>("read");
  return Fails(Call::kRead, fd) ? -1 : real(fd, bytes, size);
}

ssize_t pread(int fd, void* bytes, size_t size, off_t at) {
  static const auto real = Real<ssize_t (*)(int, void*, size_t, off_t)>("pread");
  return Fails(Call::kRead, fd) ? -1 : real(fd, bytes, size, at);
}

ssize_t pread64(int fd, void* bytes, size_t size, off64_t at) {
  static const auto real = Real<ssize_t (*)(int, void*, size_t, off64_t)>("pread64");
  return Fails(Call::kRead, fd) ? -1 : real(fd, bytes, size, at);
}

int fsync(int fd) { return Sync("fsync", fd); }
int fdatasync(int fd) { return Sync("fdatasync", fd); }

}  // extern "C"
