// Preloaded into a process, a layer between it and its files that fails as disks do. Only files
// below FAULTY_DIR are touched.
//
//   FAULTY_CALL=read|write|sync with FAULTY_NTH=N   the N-th such call fails once with EIO, and is
//                                                   noted by making the file FAULTY_NOTE
//   FAULTY_SYNCED=FILE       of every sync that succeeded: inode and size, 16 bytes
//   FAULTY_ENTRIES=DIR       what happened to names, in order, in the file `list` there: lines of
//                            what, path, second path, and where what was replaced or removed is
//                            kept, with tabs between; "sync" has a directory that was synced
//   FAULTY_SKIP_SYNC=SUFFIX  files with this ending are never synced, though the call succeeds
//   FAULTY_CLOCK_S=N         the clock of the wall is ahead by so many seconds, and by
//   FAULTY_JUMP_S=N          more when it has been read FAULTY_JUMP_AFTER times
//
// What a failed sync should have made durable is lost for good, as in a kernel that has dropped the
// pages: later syncs of that file succeed and are not in FAULTY_SYNCED. Whoever syncs it again and
// takes the second answer for the first loses it at the next power cut (damage.py).
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

enum class Call { kRead, kWrite, kSync };

struct Plan {
  const char* directory = std::getenv("FAULTY_DIR");
  const char* call = std::getenv("FAULTY_CALL");
  const char* note = std::getenv("FAULTY_NOTE");
  const char* skip = std::getenv("FAULTY_SKIP_SYNC");
  const char* synced = std::getenv("FAULTY_SYNCED");
  const char* entries = std::getenv("FAULTY_ENTRIES");
  const long ahead_s = Number("FAULTY_CLOCK_S");
  const long jump_s = Number("FAULTY_JUMP_S");
  std::atomic<long> until_jump = Number("FAULTY_JUMP_AFTER");
  std::atomic<uint64_t> lost = 0;  // inode of the file whose sync failed
  std::atomic<long> left = Number("FAULTY_NTH");

  static long Number(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? 0 : std::atol(value);
  }
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

void WriteLine(const char* file, const char* bytes, size_t size) {
  const int out = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  (void)!Real<ssize_t (*)(int, const void*, size_t)>("write")(out, bytes, size);
  close(out);
}

bool EntriesNoted(const char* path) {
  const Plan& p = plan();
  return p.entries != nullptr && p.directory != nullptr &&
         std::strncmp(path, p.directory, std::strlen(p.directory)) == 0;
}

void NoteEntry(const char* what, const char* path, const char* to = "",
               const std::string& kept = "") {
  if (!EntriesNoted(path)) return;
  const std::string line =
      std::string(what) + "\t" + path + "\t" + to + "\t" + kept + "\n";
  WriteLine((std::string(plan().entries) + "/list").c_str(), line.data(), line.size());
}

// A further name for what is about to lose this one; empty when there is nothing to lose.
std::string Keep(const char* path) {
  static std::atomic<int> number = 0;
  if (!EntriesNoted(path)) return "";
  const std::string kept =
      std::string(plan().entries) + "/" + std::to_string(getpid()) + "-" +
      std::to_string(++number);
  const bool linked = Real<int (*)(const char*, const char*)>("link")(path, kept.c_str()) == 0;
  return linked ? kept : "";
}

void NoteSynced(int fd) {
  if (plan().synced == nullptr) return;
  char path[4096];
  struct stat info;
  if (!Ours(fd, path) || fstat(fd, &info) != 0) return;
  if (S_ISDIR(info.st_mode)) return NoteEntry("sync", path);
  if (info.st_ino == plan().lost) return;
  const uint64_t entry[2] = {info.st_ino, static_cast<uint64_t>(info.st_size)};
  WriteLine(plan().synced, reinterpret_cast<const char*>(entry), sizeof entry);
}

int Open(const char* name, const char* path, int flags, mode_t mode) {
  const bool made = (flags & O_CREAT) != 0 && EntriesNoted(path) && access(path, F_OK) != 0;
  const int fd = Real<int (*)(const char*, int, mode_t)>(name)(path, flags, mode);
  if (fd >= 0 && made) NoteEntry("create", path);
  return fd;
}

int Remove(const char* name, const char* path) {
  const std::string kept = Keep(path);
  const int result = Real<int (*)(const char*)>(name)(path);
  if (result == 0) NoteEntry("remove", path, "", kept);
  return result;
}

long AheadSeconds() {
  Plan& p = plan();
  if (p.jump_s == 0) return p.ahead_s;
  return p.ahead_s + (--p.until_jump < 0 ? p.jump_s : 0);
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

// FAULTY_ENTRIES is for the calls by which the product and RocksDB change names, which have
// absolute paths.
int open(const char* path, int flags, ...) {
  va_list words;
  va_start(words, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(words, mode_t) : 0;
  va_end(words);
  return Open("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list words;
  va_start(words, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(words, mode_t) : 0;
  va_end(words);
  return Open("open64", path, flags, mode);
}

int rename(const char* from, const char* to) {
  const std::string kept = Keep(to);
  const int result = Real<int (*)(const char*, const char*)>("rename")(from, to);
  if (result == 0) NoteEntry("rename", from, to, kept);
  return result;
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) {
  static const auto real =
      Real<int (*)(int, const char*, int, const char*, unsigned)>("renameat2");
  const int result = real(from_fd, from, to_fd, to, flags);
  if (result == 0) NoteEntry("rename", from, to);
  return result;
}

int link(const char* from, const char* to) {
  const int result = Real<int (*)(const char*, const char*)>("link")(from, to);
  if (result == 0) NoteEntry("create", to);
  return result;
}

int mkdir(const char* path, mode_t mode) {
  const int result = Real<int (*)(const char*, mode_t)>("mkdir")(path, mode);
  if (result == 0) NoteEntry("create", path);
  return result;
}

int unlink(const char* path) { return Remove("unlink", path); }
int remove(const char* path) { return Remove("remove", path); }

int fsync(int fd) { return Sync("fsync", fd); }
int fdatasync(int fd) { return Sync("fdatasync", fd); }

int clock_gettime(clockid_t clock, timespec* time) {
  static const auto real = Real<int (*)(clockid_t, timespec*)>("clock_gettime");
  const int result = real(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    time->tv_sec += AheadSeconds();
  }
  return result;
}

int gettimeofday(timeval* time, void* zone) {
  static const auto real = Real<int (*)(timeval*, void*)>("gettimeofday");
  const int result = real(time, zone);
  if (result == 0) time->tv_sec += AheadSeconds();
  return result;
}

}  // extern "C"
