#include "common/http.h"

#include <httplib.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/net/test_pki.h"

namespace sluice {
namespace {

const char kToken[] = "0123456789abcdef0123456789abcdef";

class HttpTest : public testing::Test {
 protected:
  std::vector<HttpRoute> Routes() {
    std::vector<HttpRoute> routes;
    AddHealthRoutes(&routes, [this] { return started_.load(); }, [this] { return ready_.load(); });
    routes.emplace_back("/jobs/*", HttpAccess::kClient, [](const HttpRequest& request) {
      auto at = request.query.find("q");
      return HttpReply{200, "application/json",
                       request.tail + (at == request.query.end() ? "" : "," + at->second)};
    });
    return routes;
  }
  void Start(HttpOptions options = {}) {
    auto started = HttpServer::Start(std::move(options), Routes());
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }
  httplib::Result Get(const std::string& path, const httplib::Headers& headers = {}) {
    httplib::Client client("http://" + server_->address());
    return client.Get(path, headers);
  }
  int Status(const std::string& path, const httplib::Headers& headers = {}) {
    auto result = Get(path, headers);
    return result ? result->status : -1;
  }

  std::atomic<bool> started_{false}, ready_{false};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpTest, HealthFollowsTheProcess) {
  Start();
  EXPECT_EQ(Status("/livez"), 200);
  EXPECT_EQ(Status("/startupz"), 503);
  started_ = true;
  EXPECT_EQ(Status("/startupz"), 200);
  EXPECT_EQ(Status("/readyz"), 503);
  ready_ = true;
  EXPECT_EQ(Status("/readyz"), 200);
}

TEST_F(HttpTest, AStarTakesOneSafeSegment) {
  Start();
  EXPECT_EQ(Get("/jobs/wc?q=1")->body, "wc,1");
  for (const char* path : {"/jobs/", "/jobs/a/b", "/jobs/..", "/jobs/%2e%2e", "/jobs/a%2fb",
                           "/jobs/.hidden", "/nothing", "/"}) {
    EXPECT_EQ(Status(path), 404) << path;
  }
}

TEST_F(HttpTest, OnlyReads) {
  Start();
  httplib::Client client("http://" + server_->address());
  EXPECT_EQ(client.Post("/jobs/wc", "x", "text/plain")->status, 405);
  EXPECT_EQ(client.Put("/jobs/wc", "x", "text/plain")->status, 405);
  EXPECT_EQ(client.Delete("/jobs/wc")->status, 405);
  EXPECT_EQ(client.Options("/jobs/wc")->status, 405);
}

TEST_F(HttpTest, SetsSecurityHeadersAndNoCors) {
  Start();
  auto result = Get("/livez", {{"Origin", "http://example.org"}});
  ASSERT_TRUE(result);
  EXPECT_NE(result->get_header_value("Content-Security-Policy").find("default-src 'none'"),
            std::string::npos);
  EXPECT_EQ(result->get_header_value("X-Content-Type-Options"), "nosniff");
  EXPECT_FALSE(result->has_header("Access-Control-Allow-Origin"));
}

TEST_F(HttpTest, AsksForTheTokenWhereThereIsOne) {
  HttpOptions options;
  options.security.cluster_token = kToken;
  Start(options);
  const auto with = [](const std::string& token) {
    return httplib::Headers{{"Authorization", "Bearer " + token}};
  };
  EXPECT_EQ(Status("/livez"), 200);
  EXPECT_EQ(Status("/jobs/wc"), 401);
  EXPECT_EQ(Status("/jobs/wc", with("wrong")), 401);
  EXPECT_EQ(Status("/jobs/wc", with(DeriveJobToken(kToken, "wc"))), 403);
  EXPECT_EQ(Status("/jobs/wc", with(kToken)), 200);
}

TEST_F(HttpTest, SpeaksTls) {
  const TestPki pki = MakeTestPki();
  HttpOptions options;
  options.security.cert_pem = pki.cert_pem;
  options.security.key_pem = pki.key_pem;
  options.security.ca_pem = pki.ca_pem;
  options.security.cluster_token = kToken;
  Start(options);
  httplib::Client client("https://" + server_->address());
  client.enable_server_certificate_verification(false);
  auto result = client.Get("/livez");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200);
}

struct Issued {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{EVP_EC_gen("P-256"), EVP_PKEY_free};
  std::unique_ptr<X509, decltype(&X509_free)> certificate{X509_new(), X509_free};
};

// By `issuer`; null: by itself.
Issued Issue(const char* name, const Issued* issuer, int extension, const char* value) {
  Issued made;
  X509* x = made.certificate.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  ASN1_TIME_set_string(X509_getm_notBefore(x), "20200101000000Z");
  ASN1_TIME_set_string(X509_getm_notAfter(x), "20991231235959Z");
  X509_set_pubkey(x, made.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  const Issued& by = issuer == nullptr ? made : *issuer;
  X509_set_issuer_name(x, X509_get_subject_name(by.certificate.get()));
  X509_EXTENSION* added = X509V3_EXT_conf_nid(nullptr, nullptr, extension, value);
  X509_add_ext(x, added, -1);
  X509_EXTENSION_free(added);
  X509_sign(x, by.key.get(), EVP_sha256());
  return made;
}

template <class Write>
std::string Pem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  write(bio);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, size);
  BIO_free(bio);
  return text;
}

std::string PemOf(const Issued& issued) {
  return Pem([&](BIO* bio) { PEM_write_bio_X509(bio, issued.certificate.get()); });
}

// Links sent them, pages did not.
TEST_F(HttpTest, SendsTheCertificatesOfAuthoritiesBetween) {
  const Issued root = Issue("root", nullptr, NID_basic_constraints, "critical,CA:TRUE");
  const Issued between = Issue("between", &root, NID_basic_constraints, "critical,CA:TRUE");
  const Issued node = Issue("node", &between, NID_subject_alt_name, "IP:127.0.0.1");
  HttpOptions options;
  options.security.cert_pem = PemOf(node) + PemOf(between);
  options.security.key_pem = Pem([&](BIO* bio) {
    PEM_write_bio_PrivateKey(bio, node.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  options.security.ca_pem = PemOf(root);
  Start(options);
  const std::string trusted = testing::TempDir() + "/root.pem";
  std::ofstream(trusted) << PemOf(root);
  httplib::Client client("https://" + server_->address());
  client.set_ca_cert_path(trusted.c_str());
  auto result = client.Get("/livez");
  ASSERT_TRUE(result) << result.error();
  EXPECT_EQ(result->status, 200);
}

// The descriptor of this process that listens on the port.
int ListenerOf(int port) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    int listens = 0;
    socklen_t flag_size = sizeof(listens);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &flag_size) == 0 && listens == 1 &&
        getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
        ntohs(address.sin_port) == port) {
      return fd;
    }
  }
  return -1;
}

// The listener was closed for good; the daemon served on without its pages.
TEST_F(HttpTest, ListensAnewWhenItCouldNotAcceptOnce) {
  Start();
  EXPECT_EQ(Status("/livez"), 200);
  const int port = std::stoi(server_->address().substr(server_->address().find(':') + 1));
  ASSERT_EQ(shutdown(ListenerOf(port), SHUT_RD), 0);  // accept fails with EINVAL
  while (Status("/livez") != 200) {
  }
}

int Connect(const std::string& address) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(std::stoi(address.substr(address.find(':') + 1)));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  return fd;
}

TEST_F(HttpTest, ClientsThatSendNothingKeepNoOtherFromAPage) {
  const TestPki pki = MakeTestPki();
  for (const std::string scheme : {"http://", "https://"}) {
    HttpOptions options;
    options.request_time = std::chrono::hours(1);
    if (scheme == "https://") {
      options.security.cert_pem = pki.cert_pem;
      options.security.key_pem = pki.key_pem;
      options.security.ca_pem = pki.ca_pem;
      options.security.cluster_token = kToken;
    }
    Start(options);
    std::vector<int> silent;
    for (int i = 0; i < 100; ++i) silent.push_back(Connect(server_->address()));
    httplib::Client client(scheme + server_->address());
    client.enable_server_certificate_verification(false);
    auto result = client.Get("/livez");
    EXPECT_TRUE(result && result->status == 200) << scheme;
    for (const int fd : silent) close(fd);
  }
}

// A byte now and then was enough to keep a thread for good.
TEST_F(HttpTest, ARequestThatIsNotWholeInTimeIsNoLongerWaitedFor) {
  HttpOptions options;
  options.request_time = std::chrono::milliseconds(50);
  Start(options);
  const int fd = Connect(server_->address());
  const std::string request = "GET /livez HTTP/1.1\r\nX: " + std::string(3000, 'x');
  bool closed = false;
  for (size_t sent = 0; sent < request.size() && !closed; ++sent) {
    send(fd, request.data() + sent, 1, MSG_NOSIGNAL);
    pollfd answer{fd, POLLIN, 0};
    closed = poll(&answer, 1, 1) == 1;
  }
  EXPECT_TRUE(closed);
  close(fd);
}

TEST_F(HttpTest, BindErrorsAreTyped) {
  Start();
  HttpOptions taken;
  taken.port = std::stoi(server_->address().substr(server_->address().find(':') + 1));
  EXPECT_EQ(HttpServer::Start(taken, {}).status().code(), absl::StatusCode::kAlreadyExists);
  HttpOptions open;
  open.host = "0.0.0.0";
  EXPECT_EQ(HttpServer::Start(open, {}).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace sluice
