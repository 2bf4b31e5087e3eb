#include "common/net/security.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto_certificates.h"
#include "common/net/test_pki.h"
#include "common/role_flags.h"

namespace sluice {
namespace {

using testing::HasSubstr;

const char kToken[] = "0123456789abcdef0123456789abcdef";

Security WithTls() {
  Security security;
  security.cert_pem = security.key_pem = security.ca_pem = "pem";
  security.cluster_token = kToken;
  return security;
}
Security WithToken() {
  Security security;
  security.cluster_token = kToken;
  return security;
}
Security Insecure() {
  Security security;
  security.insecure = true;
  return security;
}
Security WithTlsOnly() {
  Security security = WithTls();
  security.cluster_token = "";
  return security;
}

TEST(BindPolicyTest, Table) {
  struct Row {
    const char* host;
    Security security;
    bool allowed;
    const char* says;
  };
  const Row rows[] = {
      {"127.0.0.1", {}, true, "anybody on this machine"},
      {"127.3.4.5", {}, true, "anybody on this machine"},
      {"localhost", {}, true, "anybody on this machine"},
      {"::1", {}, true, "anybody on this machine"},
      {"[::1]", {}, true, "anybody on this machine"},
      {"127.0.0.1", WithToken(), true, ""},
      {"0.0.0.0", {}, false, "--tls-cert"},
      {"::", {}, false, "--tls-cert"},
      {"10.1.2.3", {}, false, "--tls-cert"},
      {"node1", {}, false, "--tls-cert"},
      {"127.0.0.1.example.org", {}, false, "--tls-cert"},
      {"10.1.2.3", WithToken(), false, "--tls-cert"},
      {"10.1.2.3", WithTlsOnly(), false, "--tls-cert"},
      {"10.1.2.3", WithTls(), true, ""},
      {"0.0.0.0", WithTls(), true, ""},
      {"0.0.0.0", Insecure(), true, "INSECURE"},
      {"127.0.0.1", Insecure(), true, "anybody on this machine"},
  };
  for (const Row& row : rows) {
    const BindDecision decision = BindPolicy(row.host, row.security);
    EXPECT_EQ(decision.allowed, row.allowed) << row.host;
    if (*row.says == 0) {
      EXPECT_EQ(decision.message, "") << row.host;
    } else {
      EXPECT_NE(decision.message.find(row.says), std::string::npos) << decision.message;
    }
  }
}

std::string Bearer(const std::string& token) { return "Bearer " + token; }

TEST(TokenTest, AJobsTokenIsTiedToJobAndCluster) {
  const std::string token = DeriveJobToken(kToken, "wc");
  EXPECT_EQ(token, DeriveJobToken(kToken, "wc"));
  EXPECT_NE(token, DeriveJobToken(kToken, "wd"));
  EXPECT_NE(token, DeriveJobToken("another token of the cluster", "wc"));
  EXPECT_EQ(token.size(), 4 + 2 + 1 + 64u);
  EXPECT_EQ(JobNamedBy(token), "wc");
  EXPECT_EQ(JobNamedBy(kToken), "");
  EXPECT_EQ(JobNamedBy("job:"), "");
}

TEST(TokenTest, ADaemonTellsClusterAndJobApart) {
  const Security daemon = WithToken();
  EXPECT_EQ(VerifyCaller(daemon, Bearer(kToken))->kinds, kClient | kWorker);
  const Caller job = *VerifyCaller(daemon, Bearer(DeriveJobToken(kToken, "wc")));
  EXPECT_EQ(job.kinds, unsigned{kJob});
  EXPECT_EQ(job.job, "wc");
}

TEST(TokenTest, WhatIsWrongIsNotAuthenticated) {
  const Security daemon = WithToken();
  std::string forged = DeriveJobToken(kToken, "wc");
  forged.replace(4, 2, "wd");
  for (const std::string& text :
       {std::string(), std::string("Bearer "), std::string(kToken), Bearer("x"), Bearer(forged),
        Bearer(std::string(kToken) + "x"), Bearer("job:wc:"), Bearer("job:"), Bearer("job::")}) {
    EXPECT_EQ(VerifyCaller(daemon, text).status().code(), absl::StatusCode::kUnauthenticated)
        << text;
  }
}

TEST(TokenTest, AJobsProcessTakesItsOwnTokenOnly) {
  Security process;
  process.job = "wc";
  process.job_token = DeriveJobToken(kToken, "wc");
  EXPECT_EQ(VerifyCaller(process, Bearer(process.job_token))->job, "wc");
  EXPECT_FALSE(VerifyCaller(process, Bearer(DeriveJobToken(kToken, "wd"))).ok());
  EXPECT_FALSE(VerifyCaller(process, Bearer(kToken)).ok());
  EXPECT_EQ(TokenFor(process, ""), process.job_token);
  EXPECT_EQ(TokenFor(WithToken(), ""), kToken);
  EXPECT_EQ(TokenFor(WithToken(), "wc"), process.job_token);
}

TEST(TokenTest, WithoutATokenEverybodyIsEverything) {
  EXPECT_EQ(VerifyCaller({}, "")->kinds, kClient | kWorker | kJob);
}

TEST(TokenTest, TheJobsTokenIsTakenOutOfTheEnvironment) {
  setenv(kJobTokenVariable, "job:wc:00", 1);
  EXPECT_EQ(TakeJobToken(), "job:wc:00");
  EXPECT_EQ(getenv(kJobTokenVariable), nullptr);
  EXPECT_EQ(TakeJobToken(), "");
}

std::string Write(const std::string& name, const std::string& text, mode_t mode) {
  const std::string path = std::string(getenv("TEST_TMPDIR")) + "/" + name;
  std::ofstream(path) << text;
  chmod(path.c_str(), mode);
  return path;
}

absl::StatusCode LoadCode(const SecurityOptions& options) {
  return LoadSecurity(options).status().code();
}

TEST(LoadSecurityTest, TrimsTheToken) {
  const std::string path = Write("good", std::string(kToken) + "\n", 0600);
  auto security = LoadSecurity({.token_file = path});
  ASSERT_TRUE(security.ok()) << security.status();
  EXPECT_EQ(security->cluster_token, kToken);
}

TEST(LoadSecurityTest, RefusesWhatOthersCanRead) {
  const std::string token = Write("open_token", kToken, 0644);
  EXPECT_EQ(LoadCode({.token_file = token}), absl::StatusCode::kFailedPrecondition);
  const TestPki pki = MakeTestPki();
  const std::string pem = Write("pem", pki.cert_pem, 0644);
  const std::string key = Write("key", pki.key_pem, 0640);
  EXPECT_EQ(LoadCode({.tls_cert = pem, .tls_key = key, .tls_ca = pem}),
            absl::StatusCode::kFailedPrecondition);
  chmod(key.c_str(), 0600);
  EXPECT_EQ(LoadCode({.tls_cert = pem, .tls_key = key, .tls_ca = pem}), absl::StatusCode::kOk);
}

TEST(LoadSecurityTest, RefusesACertificateThatNobodyCouldBeServedWith) {
  const KeyAndCertificate ca = AuthorityOf("secret", "ca");
  auto says = [&](const KeyAndCertificate& own, const std::string& key_pem) {
    SecurityOptions options;
    options.tls_ca = Write("ca", ca.certificate_pem, 0644);
    options.tls_cert = Write("cert", own.certificate_pem, 0644);
    options.tls_key = Write("own_key", key_pem, 0600);
    return LoadSecurity(options).status().ToString();
  };
  const KeyAndCertificate good = IssueCertificate(ca, "node", {"localhost"});
  const KeyAndCertificate old = IssueCertificate(ca, "node", {"localhost"},
                                                 {.end = "20250102030405Z"});
  EXPECT_EQ(says(good, good.key_pem), "OK");
  EXPECT_THAT(says(good, old.key_pem), HasSubstr("does not fit its key"));
  EXPECT_THAT(says(old, old.key_pem), HasSubstr("has run out on Jan  2 03:04:05 2025 GMT"));
  EXPECT_THAT(says({"pem", ""}, "key"), HasSubstr("cannot be read"));
  EXPECT_EQ(LoadCode({.tls_ca = Write("no_ca", "pem", 0644)}),
            absl::StatusCode::kFailedPrecondition);
}

TEST(LoadSecurityTest, RefusesWeakTokensAndMissingFiles) {
  using absl::StatusCode;
  EXPECT_EQ(LoadCode({.token_file = Write("short", "short\n", 0600)}),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(LoadCode({.token_file = Write("lines", "0123456789\n0123456789", 0600)}),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(LoadCode({.token_file = Write("job", "job:wc:0123456789", 0600)}),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(LoadCode({.token_file = "/nonexistent"}), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadCode({.token_file = "/"}), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadCode({.tls_cert = "/nonexistent"}), StatusCode::kInvalidArgument);
}

TEST(LoadSecurityTest, ErrorsDoNotShowTheSecret) {
  const std::string path = Write("bad", "job:secret-secret-secret", 0600);
  const std::string text = LoadSecurity({.token_file = path}).status().ToString();
  EXPECT_EQ(text.find("secret-secret"), std::string::npos) << text;
}

}  // namespace
}  // namespace sluice
