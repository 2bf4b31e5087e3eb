// Who may talk to whom: what is loaded from files, which binds are allowed, and tokens. No gRPC
// here; credentials.h turns this into gRPC's own credentials.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/net/tls_files.h"

namespace sluice {

// Paths, as typed. None, or TLS and token together.
struct SecurityOptions {
  std::string tls_cert = "";    // --tls-cert
  std::string tls_key = "";     // --tls-key, mode 0600
  std::string tls_ca = "";      // --tls-ca
  std::string token_file = "";  // --token-file, mode 0600
  bool insecure = false;        // --insecure
};

// What a process holds. Never logged, never on a command line.
struct Security {
  std::string cert_pem;  // these three as they were at the start; TlsOf gives what holds now
  std::string key_pem;
  std::string ca_pem;
  std::shared_ptr<TlsFiles> tls_files = nullptr;  // where they may be renewed
  std::string cluster_token;  // daemons and clients
  std::string job;            // processes that run user code hold the token of their job only
  std::string job_token;
  bool insecure = false;

  bool tls() const { return !ca_pem.empty(); }
  bool has_token() const { return !cluster_token.empty() || !job_token.empty(); }
};

// InvalidArgument: a file that is not there or is empty, a certificate without its key.
// FailedPrecondition: a key or token that others can read, a token that is too short, a certificate
// that has run out or has another key.
absl::StatusOr<Security> LoadSecurity(const SecurityOptions& options);

// What to serve under and whom to trust in the next connection. Thread-safe.
TlsTexts TlsOf(const Security& security);

// ---- binding ------------------------------------------------------------------------------

struct BindDecision {
  bool allowed = false;
  std::string message;  // why not; or, allowed, what the start-up line must say (may be empty)
};

// "localhost", 127.0.0.0/8, ::1.
bool IsLoopback(std::string_view host);

// A loopback bind needs nothing. Any other needs TLS and a token, or --insecure with its warning.
BindDecision BindPolicy(std::string_view host, const Security& security);

// ---- tokens -------------------------------------------------------------------------------

// The token of a job: "job:NAME:HEX", an HMAC-SHA256 of its name under the cluster's token.
std::string DeriveJobToken(const std::string& cluster_token, const std::string& job);

// What to present to a process of `job`, or, with no job, to a daemon. Empty: nothing.
std::string TokenFor(const Security& security, const std::string& job);

// Takes kJobTokenVariable out of the environment, so that no child of ours inherits it. Empty
// when there is none. Before other threads start.
std::string TakeJobToken();

// What a daemon puts into the environment of a process that runs a job's user code: the job's
// token, the cluster's public CA and where its file is, --insecure. Not to be shown.
std::map<std::string, std::string> JobEnvironment(const Security& daemon, const std::string& job);

// The other end, in that process: takes these variables out of its environment. Where there is
// TLS, the process issues itself a certificate for `hosts` under its job's authority, which the
// job's token stands for: it holds no key of the cluster. Before other threads start.
Security TakeJobSecurity(const std::vector<std::string>& hosts);

// The certificates to trust when calling a process of `job`, or, with no job, a daemon.
std::string TrustedRoots(const Security& security, const std::string& job);

// The job that a token text names; empty when it is no job token. Proves nothing.
std::string JobNamedBy(std::string_view token);

// Whom a caller turned out to be; several bits for a token that stands for several.
enum CallerKind : unsigned { kClient = 1, kWorker = 2, kJob = 4 };
struct Caller {
  unsigned kinds = 0;
  std::string job;  // limited to this job; empty: not limited
};

// Checks what a caller presented ("Bearer TOKEN") against what this process holds. A process
// without any token takes everybody for everything. Unauthenticated otherwise.
absl::StatusOr<Caller> VerifyCaller(const Security& security, std::string_view authorization);

}  // namespace sluice
