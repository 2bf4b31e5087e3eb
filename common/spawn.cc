#include "common/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <future>
#include <list>
#include <mutex>
#include <thread>
#include <utility>

#include "common/spawn_internal.h"
#include "common/status.h"

extern char** environ;

namespace sluice {
namespace {

absl::Status SystemError(const std::string& what, int error) {
  if (error == ENOEXEC) return absl::FailedPreconditionError(what + ": " + strerror(error));
  return absl::ErrnoToStatus(error, what);
}

int OpenOutput(const std::string& path) {
  return open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

// A file that becomes PATH.1 when it is full.
class RotatedFile {
 public:
  explicit RotatedFile(std::string path) : path_(std::move(path)), fd_(OpenOutput(path_)) {
    struct stat status;
    if (fd_ >= 0 && fstat(fd_, &status) == 0) size_ = status.st_size;
  }
  ~RotatedFile() { Close(); }
  bool ok() const { return fd_ >= 0; }
  int error() const { return error_; }

  void Write(const char* data, ssize_t size) {
    if (size_ + size > kOutputFileMax) Rotate();
    while (size > 0 && fd_ >= 0) {  // a full disk loses output, never the child
      const ssize_t put = write(fd_, data, size);
      if (put <= 0) return;
      data += put, size -= put, size_ += put;
    }
  }

 private:
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  void Rotate() {
    Close();
    rename(path_.c_str(), (path_ + ".1").c_str());
    fd_ = OpenOutput(path_);
    size_ = 0;
  }
  const std::string path_;
  int fd_;
  const int error_ = errno;
  int64_t size_ = 0;
};

// argv or envp.
class Words {
 public:
  explicit Words(std::vector<std::string> words) : words_(std::move(words)) {
    for (std::string& word : words_) pointers_.push_back(word.data());
    pointers_.push_back(nullptr);
  }
  char** get() { return pointers_.data(); }

 private:
  std::vector<std::string> words_;
  std::vector<char*> pointers_;
};

Words Arguments(const SpawnOptions& options) {
  std::vector<std::string> words = {options.argv0.empty() ? options.path : options.argv0};
  words.insert(words.end(), options.args.begin(), options.args.end());
  return Words(std::move(words));
}

Words Environment(const SpawnOptions& options) {
  std::map<std::string, std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const char* equals = strchr(*entry, '=');
    if (equals != nullptr) all[std::string(*entry, equals - *entry)] = equals + 1;
  }
  all.erase(internal::kParentVariable);
  if (options.ends_with_parent) all[internal::kParentVariable] = std::to_string(getpid());
  for (const auto& [name, value] : options.env) all[name] = value;
  std::vector<std::string> words;
  for (const auto& [name, value] : all) words.push_back(name + "=" + value);
  return Words(std::move(words));
}

// posix_spawn with standard input empty, output on `output` (-1: ours), all else closed.
int Spawn(const SpawnOptions& options, int output, pid_t* pid) {
  Words arguments = Arguments(options);
  Words environment = Environment(options);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (output >= 0) {
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  }
  if (!options.directory.empty()) {
    posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
  }
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                            POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  const int error = posix_spawn(pid, options.path.c_str(), &actions, &attributes,
                                arguments.get(), environment.get());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

// All but Start, Signal and the destructor runs on thread_.
class Spawner::Impl {
 public:
  Impl() : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread_([this] { Run(); }) {
    pthread_setname_np(thread_.native_handle(), "spawner");
  }
  ~Impl() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    Wake();
    thread_.join();
    for (Child& child : children_) Close(child);
    close(wake_);
  }

  absl::StatusOr<ProcessId> Start(const SpawnOptions& options, OnExit on_exit) {
    Request request{&options, std::move(on_exit), {}};
    std::future<absl::StatusOr<ProcessId>> result = request.result.get_future();
    {
      std::lock_guard lock(mutex_);
      requests_.push_back(&request);
    }
    Wake();
    return result.get();
  }

  // A child is a zombie until it is reaped under the lock, so its pid cannot be another's.
  bool Signal(const ProcessId& process, int signal) {
    std::lock_guard lock(mutex_);
    for (const Child& child : children_) {
      if (child.id == process && !child.ended) {
        return kill(static_cast<pid_t>(process.pid), signal) == 0;
      }
    }
    return false;
  }

 private:
  struct Child {
    ProcessId id;
    OnExit on_exit;
    int pid_fd = -1;
    int pipe = -1;  // what it writes; stays open as long as a child of the child holds it
    std::unique_ptr<RotatedFile> file;
    bool ended = false;
  };
  struct Request {
    const SpawnOptions* options;
    OnExit on_exit;
    std::promise<absl::StatusOr<ProcessId>> result;
  };

  void Wake() {
    const uint64_t one = 1;
    (void)!write(wake_, &one, sizeof one);
  }

  static void Close(Child& child) {
    if (child.pid_fd >= 0) close(child.pid_fd);
    if (child.pipe >= 0) close(child.pipe);
  }

  // A turn: wait; start what is asked for; take output; reap.
  void Run() {
    for (;;) {
      Await();
      std::list<Request*> requests;
      {
        std::lock_guard lock(mutex_);
        if (stopping_) return;
        requests.swap(requests_);
      }
      for (Request* request : requests) {
        // The request is the caller's and gone when the promise is kept.
        std::promise<absl::StatusOr<ProcessId>> result = std::move(request->result);
        result.set_value(StartHere(*request->options, std::move(request->on_exit)));
      }
      for (Child& child : children_) TakeOutput(child);
      Reap();
    }
  }

  void Await() {
    std::vector<pollfd> waits = {{wake_, POLLIN, 0}};
    for (const Child& child : children_) {
      if (child.pid_fd >= 0) waits.push_back({child.pid_fd, POLLIN, 0});
      if (child.pipe >= 0) waits.push_back({child.pipe, POLLIN, 0});
    }
    poll(waits.data(), waits.size(), -1);
    uint64_t count;
    (void)!read(wake_, &count, sizeof count);
  }

  absl::StatusOr<ProcessId> StartHere(const SpawnOptions& options, OnExit on_exit) {
    Child child;
    int output = -1;
    if (options.output == ChildOutput::kDirect) {
      output = OpenOutput(options.output_path);
      if (output < 0) return SystemError(options.output_path, errno);
    } else if (options.output == ChildOutput::kPumped) {
      child.file = std::make_unique<RotatedFile>(options.output_path);
      if (!child.file->ok()) return SystemError(options.output_path, child.file->error());
      int ends[2];
      if (pipe2(ends, O_CLOEXEC) != 0) return SystemError("pipe", errno);
      fcntl(ends[0], F_SETFL, O_NONBLOCK);
      child.pipe = ends[0];
      output = ends[1];
    }
    pid_t pid = 0;
    const int error = Spawn(options, output, &pid);
    if (output >= 0) close(output);
    if (error != 0) {
      Close(child);
      return SystemError(options.path, error);
    }
    child.pid_fd = internal::PidFd(pid);
    child.id = FindProcess(pid);
    child.id.pid = pid;  // also when it has ended already
    child.on_exit = std::move(on_exit);
    std::lock_guard lock(mutex_);
    children_.push_back(std::move(child));
    return children_.back().id;
  }

  void TakeOutput(Child& child) {
    char bytes[65536];
    // At most the capacity of a pipe in one turn: others are to have theirs.
    for (int turn = 0; turn < 2 && child.pipe >= 0; ++turn) {
      const ssize_t got = read(child.pipe, bytes, sizeof bytes);
      if (got > 0) {
        child.file->Write(bytes, got);
      } else if (got == 0) {
        close(child.pipe);
        child.pipe = -1;
      } else {
        return;
      }
    }
  }

  void Reap() {
    for (auto child = children_.begin(); child != children_.end();) {
      int status = 0;
      bool ended = false;
      if (!child->ended) {
        std::lock_guard lock(mutex_);
        ended = waitpid(static_cast<pid_t>(child->id.pid), &status, WNOHANG) == child->id.pid;
        child->ended = ended;
      }
      if (ended) {
        close(child->pid_fd);
        child->pid_fd = -1;
        TakeOutput(*child);
        const bool signaled = WIFSIGNALED(status);
        child->on_exit(child->id, {signaled, signaled ? WTERMSIG(status) : WEXITSTATUS(status)});
      }
      std::lock_guard lock(mutex_);
      child = child->ended && child->pipe < 0 ? children_.erase(child) : std::next(child);
    }
  }

  std::mutex mutex_;
  bool stopping_ = false;
  std::list<Request*> requests_;
  std::list<Child> children_;  // changed on thread_, under the mutex
  const int wake_;
  std::thread thread_;
};

Spawner::Spawner() : impl_(std::make_unique<Impl>()) {}
Spawner::~Spawner() = default;

absl::StatusOr<ProcessId> Spawner::Start(const SpawnOptions& options, OnExit on_exit) {
  return impl_->Start(options, std::move(on_exit));
}

bool Spawner::Signal(const ProcessId& child, int signal) { return impl_->Signal(child, signal); }

}  // namespace sluice
