#include "common/http.h"

#include <httplib.h>

#include <atomic>
#include <filesystem>

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
    AddMetricsRoute(&routes, &metrics_);
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
  Metrics metrics_;
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

TEST_F(HttpTest, ShowsMetrics) {
  metrics_.AddCounter("a_total", "A.")->Add(2);
  Start();
  auto result = Get("/metrics");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->get_header_value("Content-Type"), kPrometheusType);
  EXPECT_EQ(result->body, "# HELP a_total A.\n# TYPE a_total counter\na_total 2\n");
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
  EXPECT_EQ(client.Post("/metrics", "x", "text/plain")->status, 405);
  EXPECT_EQ(client.Put("/metrics", "x", "text/plain")->status, 405);
  EXPECT_EQ(client.Delete("/jobs/wc")->status, 405);
  EXPECT_EQ(client.Options("/metrics")->status, 405);
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
  EXPECT_EQ(Status("/metrics"), 401);
  EXPECT_EQ(Status("/metrics", with("wrong")), 401);
  EXPECT_EQ(Status("/metrics", with(DeriveJobToken(kToken, "wc"))), 403);
  EXPECT_EQ(Status("/metrics", with(kToken)), 200);
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
