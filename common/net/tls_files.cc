#include "common/net/tls_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <glog/logging.h>

#include "common/crypto_certificates.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr size_t kFileMax = 1 << 20;

// Changes with each change of the file: of its content, and of what the name stands for.
std::string MarkOf(const std::string& path) {
  struct stat status;
  if (path.empty()) return "-";
  if (stat(path.c_str(), &status) != 0) return "none";
  auto text = [](const timespec& time) {
    return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec);
  };
  return std::to_string(status.st_ino) + " " + std::to_string(status.st_size) + " " +
         text(status.st_mtim) + " " + text(status.st_ctim);
}

std::string MarksOf(const TlsTexts& paths) {
  return MarkOf(paths.cert) + "; " + MarkOf(paths.key) + "; " + MarkOf(paths.ca);
}

}  // namespace

absl::StatusOr<std::string> ReadGuardedFile(const std::string& path, Secrecy secrecy) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return absl::InvalidArgumentError("cannot read file: " + path + ": " + strerror(errno));
  }
  struct stat status;
  absl::Status error;
  std::string bytes;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    error = absl::InvalidArgumentError("not a regular file: " + path);
  } else if (secrecy == Secrecy::kSecret && (status.st_mode & 077) != 0) {
    error = absl::FailedPreconditionError("others can read the secret, set mode 0600: " + path);
  } else if (status.st_size == 0 || static_cast<size_t>(status.st_size) > kFileMax) {
    error = absl::InvalidArgumentError("empty or too large: " + path);
  } else {
    bytes.resize(status.st_size);
    const ssize_t got = read(fd, bytes.data(), bytes.size());
    if (got != status.st_size) error = absl::InvalidArgumentError("cannot read file: " + path);
  }
  close(fd);
  if (!error.ok()) return error;
  return bytes;
}

absl::StatusOr<TlsTexts> ReadTlsFiles(const TlsTexts& paths) {
  TlsTexts texts;
  if (!paths.ca.empty()) {
    ASSIGN_OR_RETURN(texts.ca, ReadGuardedFile(paths.ca, Secrecy::kPublic));
    if (!HasCertificate(texts.ca)) {
      return absl::FailedPreconditionError("no certificate in file: " + paths.ca);
    }
  }
  if (!paths.cert.empty()) {
    ASSIGN_OR_RETURN(texts.cert, ReadGuardedFile(paths.cert, Secrecy::kPublic));
    ASSIGN_OR_RETURN(texts.key, ReadGuardedFile(paths.key, Secrecy::kSecret));
    const std::string problem = ProblemOf({texts.cert, texts.key});
    if (!problem.empty()) {
      return absl::FailedPreconditionError("the certificate " + problem + ": " + paths.cert);
    }
  }
  return texts;
}

TlsFiles::TlsFiles(TlsTexts paths, TlsTexts start)
    : paths_(std::move(paths)), current_(std::make_shared<TlsTexts>(std::move(start))) {}

std::shared_ptr<const TlsTexts> TlsFiles::Current() {
  std::lock_guard lock(mutex_);
  LookAgain();
  if (said_that_it_ran_out_ || paths_.cert.empty()) return current_;
  const std::string problem = ProblemOf({current_->cert, current_->key});
  if (!problem.empty()) {
    LOG(ERROR) << "nobody new can connect to this process: its certificate " << problem << ": "
               << paths_.cert << ". Renew the file; it is taken as it is";
    said_that_it_ran_out_ = true;
  }
  return current_;
}

absl::StatusOr<TlsTexts> TlsFiles::Read() const {
  ASSIGN_OR_RETURN(TlsTexts texts, ReadTlsFiles(paths_));
  const std::string problem = BeginsLater(texts.cert);
  if (problem.empty()) return texts;
  return absl::FailedPreconditionError("the certificate " + problem + ": " + paths_.cert);
}

void TlsFiles::LookAgain() {
  std::string marks = MarksOf(paths_);
  if (marks == seen_) return;
  absl::StatusOr<TlsTexts> read = Read();
  if (MarksOf(paths_) != marks) return;  // somebody is about it: the next call looks again
  if (!read.ok()) {
    // The reason may pass while the files stay as they are.
    std::string why = marks + " " + std::string(Message(read.status()));
    if (std::exchange(said_, why) == why) return;
    LOG(WARNING) << "renewed TLS files are not taken, what they held before stays: "
                 << Message(read.status());
    return;
  }
  seen_ = std::move(marks);
  auto next = std::make_shared<TlsTexts>(*current_);
  if (!paths_.ca.empty()) next->ca = std::move(read->ca);
  if (!paths_.cert.empty()) {
    next->cert = std::move(read->cert);
    next->key = std::move(read->key);
    said_that_it_ran_out_ = false;
  }
  current_ = std::move(next);
}

}  // namespace sluice
