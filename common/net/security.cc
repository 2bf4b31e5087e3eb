#include "common/net/security.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include <filesystem>
#include <system_error>

#include "common/crypto.h"
#include "common/crypto_certificates.h"
#include "common/role_flags.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr size_t kTokenMin = 16;
constexpr std::string_view kBearer = "Bearer ";
constexpr std::string_view kJobPrefix = "job:";

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  ASSIGN_OR_RETURN(std::string token, ReadGuardedFile(path, Secrecy::kSecret));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  if (token.size() < kTokenMin) {
    return absl::FailedPreconditionError("token shorter than 16 characters: " + path);
  }
  for (unsigned char c : token) {
    if (c <= ' ' || c > '~') {
      return absl::FailedPreconditionError("token holds a character that is not plain: " + path);
    }
  }
  if (token.rfind(kJobPrefix, 0) == 0) {
    return absl::FailedPreconditionError("a job's token cannot be the cluster's: " + path);
  }
  return token;
}

}  // namespace

absl::StatusOr<Security> LoadSecurity(const SecurityOptions& options) {
  Security security;
  security.insecure = options.insecure;
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key belong together");
  }
  if (!options.tls_cert.empty() && options.tls_ca.empty()) {
    return absl::InvalidArgumentError("--tls-cert needs --tls-ca");
  }
  const TlsTexts paths = {options.tls_cert, options.tls_key, options.tls_ca};
  ASSIGN_OR_RETURN(const TlsTexts texts, ReadTlsFiles(paths));
  security.cert_pem = texts.cert;
  security.key_pem = texts.key;
  security.ca_pem = texts.ca;
  if (!options.tls_ca.empty()) security.tls_files = std::make_shared<TlsFiles>(paths, texts);
  if (!options.token_file.empty()) {
    ASSIGN_OR_RETURN(security.cluster_token, ReadToken(options.token_file));
  }
  return security;
}

TlsTexts TlsOf(const Security& security) {
  if (security.tls_files != nullptr) return *security.tls_files->Current();
  return {security.cert_pem, security.key_pem, security.ca_pem};
}

bool IsLoopback(std::string_view host) {
  if (host == "localhost") return true;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const std::string text(host);
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, text.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

BindDecision BindPolicy(std::string_view host, const Security& security) {
  const bool safe = security.tls() && !security.key_pem.empty() && security.has_token();
  const std::string name(host);
  if (safe) return {true, ""};
  if (IsLoopback(host)) {
    if (security.has_token()) return {true, ""};
    return {true, "anybody on this machine may submit jobs"};
  }
  if (security.insecure) {
    return {true, "INSECURE: no encryption and no authentication, anybody who can reach " + name +
                      " may run code as this user"};
  }
  return {false,
          "refused to listen beyond loopback without --tls-cert, --tls-key, --tls-ca and "
          "--token-file (or --insecure): " + name};
}

std::string DeriveJobToken(const std::string& cluster_token, const std::string& job) {
  const std::string text = "sluice job token 1:" + job;
  return std::string(kJobPrefix) + job + ":" + HmacSha256Hex(cluster_token, text);
}

std::string TokenFor(const Security& security, const std::string& job) {
  if (security.cluster_token.empty()) return security.job_token;
  return job.empty() ? security.cluster_token : DeriveJobToken(security.cluster_token, job);
}

namespace {

// The variables beside kJobTokenVariable.
constexpr char kCaVariable[] = "SLUICE_JOB_CA";
constexpr char kCaFileVariable[] = "SLUICE_JOB_CA_FILE";
constexpr char kInsecureVariable[] = "SLUICE_JOB_INSECURE";

// Whoever holds a job's token can derive the authority under which its processes serve.
KeyAndCertificate JobAuthority(const std::string& job_token) {
  return AuthorityOf(job_token, "sluice job " + JobNamedBy(job_token));
}

std::string Take(const char* variable) {
  char* value = getenv(variable);
  if (value == nullptr) return "";
  std::string text = value;
  Cleanse(value, text.size());  // it also shows in /proc/PID/environ
  unsetenv(variable);
  return text;
}

}  // namespace

std::string TakeJobToken() { return Take(kJobTokenVariable); }

std::map<std::string, std::string> JobEnvironment(const Security& daemon,
                                                  const std::string& job) {
  std::map<std::string, std::string> variables;
  const std::string token = TokenFor(daemon, job);
  if (!token.empty()) variables[kJobTokenVariable] = token;
  if (daemon.tls() && !token.empty()) variables[kCaVariable] = TlsOf(daemon).ca;
  if (daemon.tls_files != nullptr && !token.empty()) {
    // The process has another working folder.
    std::error_code ignored;
    variables[kCaFileVariable] = std::filesystem::absolute(daemon.tls_files->paths().ca, ignored);
  }
  if (daemon.insecure) variables[kInsecureVariable] = "1";
  return variables;
}

Security TakeJobSecurity(const std::vector<std::string>& hosts) {
  Security security;
  security.job_token = Take(kJobTokenVariable);
  security.job = JobNamedBy(security.job_token);
  security.ca_pem = Take(kCaVariable);
  const std::string ca_file = Take(kCaFileVariable);
  security.insecure = !Take(kInsecureVariable).empty();
  if (security.tls()) {
    const KeyAndCertificate own =
        IssueCertificate(JobAuthority(security.job_token), "sluice job process", hosts);
    security.cert_pem = own.certificate_pem;
    security.key_pem = own.key_pem;
    security.tls_files = std::make_shared<TlsFiles>(
        TlsTexts{.ca = ca_file}, TlsTexts{security.cert_pem, security.key_pem, security.ca_pem});
  }
  return security;
}

std::string TrustedRoots(const Security& security, const std::string& job) {
  const bool in_job = security.cluster_token.empty() && !security.job_token.empty();
  if (in_job) return TlsOf(security).ca + "\n" + JobAuthority(security.job_token).certificate_pem;
  if (job.empty() || security.cluster_token.empty()) return TlsOf(security).ca;
  // A process of the job serves under the job's authority, and nobody else may pose as one.
  return JobAuthority(TokenFor(security, job)).certificate_pem;
}

std::string JobNamedBy(std::string_view token) {
  if (token.rfind(kJobPrefix, 0) != 0) return "";
  const size_t end = token.rfind(':');
  if (end < kJobPrefix.size()) return "";
  return std::string(token.substr(kJobPrefix.size(), end - kJobPrefix.size()));
}

absl::StatusOr<Caller> VerifyCaller(const Security& security, std::string_view authorization) {
  if (!security.has_token()) return Caller{kClient | kWorker | kJob, ""};
  if (authorization.rfind(kBearer, 0) != 0) {
    return absl::UnauthenticatedError("no token was presented");
  }
  const std::string_view token = authorization.substr(kBearer.size());
  if (!security.cluster_token.empty() && EqualSecrets(token, security.cluster_token)) {
    return Caller{kClient | kWorker, ""};
  }
  const std::string job = JobNamedBy(token);
  if (job.empty()) return absl::UnauthenticatedError("the token is not valid here");
  const std::string expected = security.cluster_token.empty()
                                   ? security.job_token
                                   : DeriveJobToken(security.cluster_token, job);
  if (!EqualSecrets(token, expected)) {
    return absl::UnauthenticatedError("the token is not valid here");
  }
  return Caller{kJob, job};
}

}  // namespace sluice
