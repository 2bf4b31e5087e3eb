// The TLS files of a process that runs for longer than its certificates. Whoever renews them need
// not start it again: they are looked at whenever a connection is made.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"

namespace sluice {

// What the files hold, or, as paths, where they are. What is empty is not there.
struct TlsTexts {
  std::string cert = "";
  std::string key = "";
  std::string ca = "";
};

enum class Secrecy { kPublic, kSecret };

// A file of 1 byte to 1 MiB. InvalidArgument: there is none. FailedPrecondition: a secret that
// others can read.
absl::StatusOr<std::string> ReadGuardedFile(const std::string& path, Secrecy secrecy);

// Errors as ReadGuardedFile; and FailedPrecondition where a certificate cannot be read, has run out
// or has another key.
absl::StatusOr<TlsTexts> ReadTlsFiles(const TlsTexts& paths);

// Thread-safe.
class TlsFiles {
 public:
  // Files without a path keep what `start` has for them.
  TlsFiles(TlsTexts paths, TlsTexts start);

  // What the files hold now. As long as that cannot be read or used (yet), what they held before;
  // it is looked at again each time, and the log says why once: so cert and key may be replaced
  // one after the other. It says so, too, when what is used has run out.
  std::shared_ptr<const TlsTexts> Current();

  const TlsTexts& paths() const { return paths_; }

 private:
  void LookAgain();

  const TlsTexts paths_;
  std::mutex mutex_;  // guards all below
  absl::StatusOr<TlsTexts> Read() const;

  std::string seen_;  // marks of the files that were taken last
  std::string said_;  // why later ones were not
  bool said_that_it_ran_out_ = false;
  std::shared_ptr<const TlsTexts> current_;
};

}  // namespace sluice
