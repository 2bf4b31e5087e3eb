// TLS files that are renewed under processes that run: F63 of docs/faults.md.
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include "common/crypto_certificates.h"
#include "common/http.h"
#include "common/net/credentials.h"
#include "common/net/test_node.h"
#include "proto/client.grpc.pb.h"

namespace sluice {
namespace {

using testing::ElementsAre;

const char kToken[] = "0123456789abcdef0123456789abcdef";

// A folder with ca, cert, key and token, whose files are replaced as certbot does: each by a name.
class Folder {
 public:
  explicit Folder(const std::string& name)
      : path_(std::string(getenv("TEST_TMPDIR")) + "/" + name) {
    std::filesystem::create_directories(path_);
    Put("token", kToken, 0600);
  }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }

  void Put(const std::string& name, const std::string& text, mode_t mode = 0600) {
    std::ofstream(Path("new")) << text;
    chmod(Path("new").c_str(), mode);
    rename(Path("new").c_str(), Path(name).c_str());
  }
  void PutPair(const KeyAndCertificate& pair) {
    Put("cert", pair.certificate_pem);
    Put("key", pair.key_pem);
  }
  Security Load() const {
    auto loaded = LoadSecurity({Path("cert"), Path("key"), Path("ca"), Path("token")});
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return *loaded;
  }
  Security AsClient() const {
    return *LoadSecurity({.tls_ca = Path("ca"), .token_file = Path("token")});
  }

 private:
  const std::string path_;
};

KeyAndCertificate Issue(const KeyAndCertificate& ca, const Validity& validity = {}) {
  return IssueCertificate(ca, "node", {"127.0.0.1"}, validity);
}

std::string InSeconds(int seconds) {
  const time_t end = time(nullptr) + seconds;
  char text[32];
  strftime(text, sizeof text, "%Y%m%d%H%M%SZ", gmtime(&end));
  return text;
}

class ListService : public proto::Driver::CallbackService {
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const proto::ListRequest*, proto::JobList*) override {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

struct Daemon {
  explicit Daemon(const Security& security) : node(Options(security, &service)) {}
  static GrpcTransportOptions Options(const Security& security, grpc::Service* service) {
    GrpcTransportOptions options;
    options.security = security;
    if (service != nullptr) options.services = {service};
    return options;
  }
  ListService service;
  TestNode node;
};

// Over a connection of its own.
grpc::StatusCode List(const Daemon& daemon, const Security& security) {
  auto stub = proto::Driver::NewStub(MakeChannel(daemon.node.address(), security));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  Authorize(context, daemon.node.address(), security, "");
  proto::JobList reply;
  return stub->ListJobs(&context, proto::ListRequest(), &reply).error_code();
}

TEST(RenewalTest, TakesFilesOnceTheyFitTogetherAndKeepsTheFormerUntilThen) {
  Folder folder("files");
  const KeyAndCertificate ca = AuthorityOf("secret", "ca"), first = Issue(ca), second = Issue(ca);
  folder.Put("ca", ca.certificate_pem);
  folder.PutPair(first);
  const Security security = folder.Load();
  EXPECT_EQ(TlsOf(security).cert, first.certificate_pem);
  folder.Put("cert", second.certificate_pem);
  EXPECT_EQ(TlsOf(security).cert, first.certificate_pem);
  EXPECT_EQ(TlsOf(security).key, first.key_pem);
  folder.Put("key", second.key_pem);
  EXPECT_EQ(TlsOf(security).cert, second.certificate_pem);
  EXPECT_EQ(TlsOf(security).key, second.key_pem);

  folder.Put("key", first.key_pem.substr(0, 40));
  EXPECT_EQ(TlsOf(security).key, second.key_pem);
  folder.PutPair(first);
  folder.Put("key", first.key_pem, 0644);
  EXPECT_EQ(TlsOf(security).key, second.key_pem);
  folder.PutPair(Issue(ca, {.end = "20250102030405Z"}));
  EXPECT_EQ(TlsOf(security).cert, second.certificate_pem);
  std::filesystem::remove(folder.Path("ca"));
  EXPECT_EQ(TlsOf(security).ca, ca.certificate_pem);
}

TEST(RenewalTest, FilesThatCouldNotBeReadOnceAreReadAgain) {
  Folder folder("not_read");
  const KeyAndCertificate ca = AuthorityOf("secret", "ca"), first = Issue(ca), second = Issue(ca);
  folder.Put("ca", ca.certificate_pem);
  folder.PutPair(first);
  const Security security = folder.Load();
  EXPECT_EQ(TlsOf(security).cert, first.certificate_pem);
  folder.PutPair(second);
  rlimit descriptors{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &descriptors), 0);
  rlimit none = descriptors;
  none.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_EQ(TlsOf(security).cert, first.certificate_pem);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &descriptors), 0);
  EXPECT_EQ(TlsOf(security).cert, second.certificate_pem);
}

TEST(RenewalTest, ACertificateIsTakenWhenItsTimeHasCome) {
  Folder folder("early");
  const KeyAndCertificate ca = AuthorityOf("secret", "ca"), first = Issue(ca);
  folder.Put("ca", ca.certificate_pem);
  folder.PutPair(first);
  const Security security = folder.Load();
  folder.PutPair(Issue(ca, {.begin = InSeconds(3600)}));
  EXPECT_EQ(TlsOf(security).cert, first.certificate_pem);
  const KeyAndCertificate soon = Issue(ca, {.begin = InSeconds(2)});
  folder.PutPair(soon);
  EXPECT_EQ(TlsOf(security).cert, first.certificate_pem);
  while (TlsOf(security).cert == first.certificate_pem) {
  }
  EXPECT_EQ(TlsOf(security).cert, soon.certificate_pem);
}

TEST(RenewalTest, ACertificateThatRanOutIsRefusedUntilItIsRenewedWithoutARestart) {
  Folder folder("runs_out");
  const KeyAndCertificate ca = AuthorityOf("secret", "ca");
  folder.Put("ca", ca.certificate_pem);
  folder.PutPair(Issue(ca, {.end = InSeconds(3)}));
  const Security security = folder.Load();
  Daemon daemon(security);
  TestNode other(Daemon::Options(security, nullptr));
  other.transport->Send(daemon.node.address(), Beat(1));
  EXPECT_THAT(daemon.node.Await(1), ElementsAre(other.address() + " 1"));
  EXPECT_EQ(List(daemon, security), grpc::StatusCode::OK);

  while (List(daemon, security) == grpc::StatusCode::OK) {
  }
  EXPECT_EQ(List(daemon, security), grpc::StatusCode::UNAVAILABLE);
  other.transport->Send(daemon.node.address(), Beat(2));  // what is connected stays so
  EXPECT_EQ(daemon.node.Await(2)[1], other.address() + " 2");

  folder.PutPair(Issue(ca));
  EXPECT_EQ(List(daemon, security), grpc::StatusCode::OK);
}

TEST(RenewalTest, ANewAuthorityIsTrustedByDaemonsAndByAJobsProcessesThatRun) {
  Folder folder("authority");
  const KeyAndCertificate old_ca = AuthorityOf("old", "ca"), new_ca = AuthorityOf("new", "ca");
  folder.Put("ca", old_ca.certificate_pem);
  folder.PutPair(Issue(old_ca));
  const Security security = folder.Load();
  Daemon daemon(security);
  for (const auto& [name, value] : JobEnvironment(security, "wc")) {
    setenv(name.c_str(), value.c_str(), 1);
  }
  Daemon executor(TakeJobSecurity({"127.0.0.1"}));
  Security outdated = folder.AsClient();
  outdated.tls_files = nullptr;

  folder.Put("ca", new_ca.certificate_pem);
  folder.PutPair(Issue(new_ca));
  EXPECT_EQ(List(daemon, outdated), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(List(daemon, folder.AsClient()), grpc::StatusCode::OK);
  executor.node.transport->Send(daemon.node.address(), Beat(1));
  EXPECT_THAT(daemon.node.Await(1), ElementsAre(executor.node.address() + " 1"));
  daemon.node.transport->Send(executor.node.address(), Beat(2));
  EXPECT_THAT(executor.node.Await(1), ElementsAre(daemon.node.address() + " 2"));
}

TEST(RenewalTest, StrangersStayOutsideAfterIt) {
  Folder folder("strangers");
  const KeyAndCertificate ca = AuthorityOf("secret", "ca");
  folder.Put("ca", ca.certificate_pem);
  folder.PutPair(Issue(ca));
  const Security security = folder.Load();
  Daemon daemon(security);
  folder.PutPair(Issue(ca));
  Security stranger = folder.AsClient();
  EXPECT_EQ(List(daemon, stranger), grpc::StatusCode::OK);
  stranger.cluster_token = "another token of the cluster";
  EXPECT_EQ(List(daemon, stranger), grpc::StatusCode::UNAUTHENTICATED);
  stranger.cluster_token = "";
  EXPECT_EQ(List(daemon, stranger), grpc::StatusCode::UNAUTHENTICATED);
}

TEST(RenewalTest, PagesAreServedUnderTheRenewedCertificate) {
  Folder folder("pages");
  const KeyAndCertificate old_ca = AuthorityOf("old", "ca"), new_ca = AuthorityOf("new", "ca");
  folder.Put("ca", old_ca.certificate_pem);
  folder.PutPair(Issue(old_ca));
  std::vector<HttpRoute> routes;
  AddHealthRoutes(&routes, [] { return true; }, [] { return true; });
  auto http = HttpServer::Start({.security = folder.Load()}, routes);
  ASSERT_TRUE(http.ok()) << http.status();
  auto status = [&](const KeyAndCertificate& trusted) {
    folder.Put("trusted", trusted.certificate_pem);
    httplib::Client client("https://" + (*http)->address());
    client.set_ca_cert_path(folder.Path("trusted").c_str());
    auto result = client.Get("/livez");
    return result ? result->status : 0;
  };
  EXPECT_EQ(status(old_ca), 200);
  folder.Put("ca", new_ca.certificate_pem);
  folder.PutPair(Issue(new_ca));
  EXPECT_EQ(status(old_ca), 0);
  EXPECT_EQ(status(new_ca), 200);
}

}  // namespace
}  // namespace sluice
