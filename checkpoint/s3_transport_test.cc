// What libcurl sends and what it makes of answers that are cut, late, too long or none at all.
#include "checkpoint/s3_transport.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace sluice {
namespace {

// Answers each connection once with `answer`, then holds it open until its client leaves or, with
// `closes`, closes it.
class Server {
 public:
  Server(std::string answer, bool closes) : answer_(std::move(answer)), closes_(closes) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    host_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { Serve(); });
  }
  ~Server() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  S3Settings settings() const {
    S3Settings settings;
    settings.host = host_;
    settings.base = "http://" + host_ + "/bucket";
    settings.region = "us-east-1";
    settings.stalled_s = 1;
    return settings;
  }
  std::string Seen() {
    std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  void Serve() {
    for (int peer; (peer = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(peer)) {
      char bytes[4096];
      std::string head;
      while (head.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = ::recv(peer, bytes, sizeof bytes, 0);
        if (got <= 0) break;
        head.append(bytes, static_cast<size_t>(got));
      }
      {
        std::lock_guard lock(mutex_);
        seen_ += head;
      }
      (void)!::send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      while (!closes_ && ::recv(peer, bytes, sizeof bytes, 0) > 0) {
      }
    }
  }

  const std::string answer_;
  const bool closes_;
  int listener_ = -1;
  std::string host_;
  std::mutex mutex_;
  std::string seen_;
  std::thread thread_;
};

const S3Keys kKeys = {"AKIDEXAMPLE", "not-to-be-seen", "a-token"};

absl::StatusOr<S3Answer> Ask(Server& server, const S3Request& request) {
  return NewS3HttpTransport(server.settings())->Send(request, kKeys, 1'795'698'000, 30'000);
}

TEST(S3TransportTest, ARequestIsSignedAndItsAnswerWhole) {
  Server server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Amz-Meta-A:  b \r\n\r\nhello", false);
  S3Request request{"PUT", "p/a=b"};
  request.query = {{"partNumber", "1"}, {"uploadId", "x/+="}};
  request.headers = {{"if-none-match", "*"}};
  request.body = "body";
  const auto answer = Ask(server, request);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "hello");
  EXPECT_EQ(answer->Header("x-amz-meta-a"), "b");
  const std::string seen = server.Seen();
  EXPECT_TRUE(seen.starts_with("PUT /bucket/p/a%3Db?partNumber=1&uploadId=x%2F%2B%3D HTTP/1.1"))
      << seen;
  for (const char* part : {"Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261126/",
                           "us-east-1/s3/aws4_request", "if-none-match: *",
                           "x-amz-date: 20261126T130000Z", "x-amz-security-token: a-token",
                           "x-amz-content-sha256: 230d8358dc8e8890b4c58deeb62912ee2f20357ae9"}) {
    EXPECT_NE(seen.find(part), std::string::npos) << part << "\n" << seen;
  }
  EXPECT_EQ(seen.find("not-to-be-seen"), std::string::npos);
}

TEST(S3TransportTest, WhatIsNoWholeAnswerIsUnavailable) {
  const struct {
    const char* what;
    std::string answer;
    bool closes;
  } cases[] = {
      {"no answer, and the connection stays", "", false},
      {"closed without an answer", "", true},
      {"cut in its head", "HTTP/1.1 200 OK\r\nContent-Le", true},
      {"cut between its headers", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", true},
      {"a body of no length", "HTTP/1.1 200 OK\r\n\r\nhel", true},
      {"a chunk too few",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", true},
      {"cut in its body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", true},
      {"a body that stops", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", false},
      {"no HTTP", "220 mail server\r\n\r\n", true},
      {"too long", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world", false},
      {"headers without end", "HTTP/1.1 200 OK\r\nA: " + std::string(200'000, 'a') + "\r\n\r\n",
       true},
  };
  for (const auto& c : cases) {
    Server server(c.answer, c.closes);
    S3Request request{"GET", "key"};
    request.answer_bytes_max = 10;
    const auto answer = Ask(server, request);
    EXPECT_TRUE(absl::IsUnavailable(answer.status())) << c.what << ": " << answer.status();
    EXPECT_EQ(answer.status().ToString().find("not-to-be-seen"), std::string::npos);
  }
}

// A server that dripped had an hour for a small object, by the size that one may have.
TEST(S3TransportTest, AnAnswerHasTheTimeOfItsOwnSizeAndNotOfTheLargest) {
  using Clock = std::chrono::steady_clock;
  for (const int megabytes : {0, 3}) {
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: ";
    Server server(head + std::to_string((megabytes << 20) + 10) + "\r\n\r\nhel", false);
    S3Settings settings = server.settings();
    settings.stalled_s = 30;
    S3Request request{"GET", "key"};
    request.answer_bytes_max = uint64_t{1} << 40;
    const Clock::time_point begun = Clock::now();
    const auto answer = NewS3HttpTransport(settings)->Send(request, kKeys, 0, 100);
    EXPECT_TRUE(absl::IsUnavailable(answer.status())) << answer.status();
    EXPECT_NE(answer.status().ToString().find("in time"), std::string::npos) << answer.status();
    EXPECT_GE(Clock::now() - begun, std::chrono::seconds(megabytes));
  }
}

TEST(S3TransportTest, NobodyListensIsUnavailable) {
  S3Settings settings;
  {
    Server server("", true);
    settings = server.settings();
  }
  const auto answer = NewS3HttpTransport(settings)->Send({"GET", "key"}, kKeys, 0, 1'000);
  EXPECT_TRUE(absl::IsUnavailable(answer.status())) << answer.status();
}

TEST(S3TransportTest, ARedirectIsNotFollowedAndAnErrorIsAnAnswer) {
  Server server("HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n"
                "x-amz-bucket-region: eu-west-1\r\nContent-Length: 0\r\n\r\n", false);
  const auto answer = Ask(server, {"GET", "key"});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 301);
  EXPECT_EQ(answer->Header("x-amz-bucket-region"), "eu-west-1");
}

// A job driver that was relaunched while it had run out ended its job for good, with 3.
TEST(S3TransportTest, ACertificateThatIsNotTrustedIsADenialThatMayPass) {
  Server server("", true);
  S3Settings settings = server.settings();
  settings.base = "https" + settings.base.substr(4);
  settings.ca_bundle = "/nowhere/authorities.pem";
  const auto answer = NewS3HttpTransport(settings)->Send({"GET", "key"}, kKeys, 0, 5'000);
  EXPECT_TRUE(absl::IsPermissionDenied(answer.status())) << answer.status();
}

TEST(S3TransportTest, AServiceOfKeysIsFetched) {
  Server server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false);
  EXPECT_EQ(*FetchUrl(server.settings().base, {{"authorization", "token"}}), "{}");
  EXPECT_NE(server.Seen().find("authorization: token"), std::string::npos);
  Server denies("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", false);
  EXPECT_TRUE(absl::IsUnavailable(FetchUrl(denies.settings().base, {}).status()));
}

}  // namespace
}  // namespace sluice
