// Links and calls behind the door: tokens on loopback without TLS, and TLS.
#include <grpcpp/server_builder.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/net/credentials.h"
#include "common/net/grpc_transport.h"
#include "common/net/test_node.h"
#include "common/net/test_pki.h"
#include "proto/client.grpc.pb.h"

namespace sluice {
namespace {

using testing::ElementsAre;

const char kToken[] = "0123456789abcdef0123456789abcdef";

Security Cluster(const std::string& token = kToken) {
  Security security;
  security.cluster_token = token;
  return security;
}
Security Job(const std::string& job) {
  Security security;
  security.job = job;
  security.job_token = DeriveJobToken(kToken, job);
  return security;
}
GrpcTransportOptions With(Security security) {
  GrpcTransportOptions options;
  options.security = std::move(security);
  return options;
}

class FakeDriver : public proto::Driver::CallbackService {
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const proto::ListRequest*, proto::JobList*) override {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

grpc::StatusCode List(const std::string& address, const Security& security) {
  auto stub = proto::Driver::NewStub(MakeChannel(address, security));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  Authorize(context, address, security, "");
  proto::JobList reply;
  return stub->ListJobs(&context, proto::ListRequest(), &reply).error_code();
}

TEST(SecureTransportTest, MembersOfTheClusterTalk) {
  TestNode a(With(Cluster())), b(With(Cluster()));
  a.transport->Send(b.address(), Beat(1));
  EXPECT_THAT(b.Await(1), ElementsAre(a.address() + " 1"));
}

TEST(SecureTransportTest, AStrangersLinkIsDenied) {
  TestNode a(With(Cluster("another token of the cluster"))), b(With(Cluster()));
  TestNode nobody;
  a.transport->Send(b.address(), Beat(1));
  EXPECT_THAT(a.Await(1), ElementsAre(b.address() + " broken"));
  nobody.transport->Send(b.address(), Beat(1));
  EXPECT_THAT(nobody.Await(1), ElementsAre(b.address() + " broken"));
}

TEST(SecureTransportTest, ADaemonAnswersAJobsProcessWithTheJobsToken) {
  TestNode daemon(With(Cluster())), executor(With(Job("wc"))), other(With(Job("wc")));
  executor.transport->Send(daemon.address(), Beat(1));
  EXPECT_THAT(daemon.Await(1), ElementsAre(executor.address() + " 1"));
  daemon.transport->Send(executor.address(), Beat(2));
  EXPECT_THAT(executor.Await(1), ElementsAre(daemon.address() + " 2"));
  executor.transport->Send(other.address(), Beat(3));
  EXPECT_THAT(other.Await(1), ElementsAre(executor.address() + " 3"));
}

// A driver daemon that took over sent what it had to say to a job driver as to another daemon.
TEST(SecureTransportTest, ADaemonReachesAJobsProcessThatHasNotCalledIt) {
  TestNode daemon(With(Cluster())), job_driver(With(Job("wc")));
  daemon.transport->Introduce(job_driver.address(), "wc");
  daemon.transport->Send(job_driver.address(), Beat(1));
  EXPECT_THAT(job_driver.Await(1), ElementsAre(daemon.address() + " 1"));
}

TEST(SecureTransportTest, JobsAreKeptApart) {
  TestNode a(With(Job("a"))), b(With(Job("b")));
  a.transport->Send(b.address(), Beat(1));
  EXPECT_THAT(a.Await(1), ElementsAre(b.address() + " broken"));
}

TEST(SecureTransportTest, AJobCannotPlayAWorker) {
  TestNode daemon(With(Cluster())), executor(With(Job("wc")));
  proto::Envelope forged;
  forged.mutable_worker_register()->set_worker_id("me");
  executor.transport->Send(daemon.address(), forged);
  executor.transport->Send(daemon.address(), Beat(1));
  EXPECT_THAT(daemon.Await(1), ElementsAre(executor.address() + " 1"));
}

// The token of any job was good for the status of every job.
TEST(SecureTransportTest, AJobCannotSpeakForAnother) {
  TestNode daemon(With(Cluster())), executor(With(Job("wc")));
  proto::Envelope forged;
  forged.mutable_job_status()->set_job("other");
  executor.transport->Send(daemon.address(), forged);
  executor.transport->Send(daemon.address(), Beat(1));
  EXPECT_THAT(daemon.Await(1), ElementsAre(executor.address() + " 1"));
}

TEST(SecureTransportTest, ServicesStandBehindTheSameDoor) {
  FakeDriver service;
  GrpcTransportOptions options = With(Cluster());
  options.services = {&service};
  TestNode daemon(options);
  EXPECT_EQ(List(daemon.address(), Cluster()), grpc::StatusCode::OK);
  EXPECT_EQ(List(daemon.address(), {}), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(List(daemon.address(), Cluster("another token of the cluster")),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(List(daemon.address(), Job("wc")), grpc::StatusCode::PERMISSION_DENIED);
}

// Listens without any security, and notes what callers present.
class Listener : public proto::Driver::CallbackService {
 public:
  Listener() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("0.0.0.0:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  std::string At(const std::string& host) const { return host + ":" + std::to_string(port_); }
  size_t tokens() const { return tokens_; }

 private:
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const proto::ListRequest*, proto::JobList*) override {
    tokens_ += context->client_metadata().count("authorization");
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  int port_ = 0;
  std::atomic<size_t> tokens_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST(SecureTransportTest, WithoutTlsATokenStaysOnThisMachine) {
  Listener listener;
  EXPECT_EQ(List(listener.At("0.0.0.0"), Cluster()), grpc::StatusCode::OK);
  EXPECT_EQ(listener.tokens(), 0u);
  EXPECT_EQ(List(listener.At("127.0.0.1"), Cluster()), grpc::StatusCode::OK);
  EXPECT_EQ(listener.tokens(), 1u);
}

TEST(SecureTransportTest, WithoutATokenAnybodyOnTheMachineMayCall) {
  FakeDriver service;
  GrpcTransportOptions options;
  options.services = {&service};
  TestNode daemon(options);
  EXPECT_EQ(List(daemon.address(), {}), grpc::StatusCode::OK);
}

TEST(SecureTransportTest, LinksRunOverTls) {
  const TestPki pki = MakeTestPki();
  Security security = Cluster();
  security.cert_pem = pki.cert_pem;
  security.key_pem = pki.key_pem;
  security.ca_pem = pki.ca_pem;
  TestNode a(With(security)), b(With(security));
  a.transport->Send(b.address(), Beat(1));
  EXPECT_THAT(b.Await(1), ElementsAre(a.address() + " 1"));
}

Security ClusterWithTls() {
  const TestPki pki = MakeTestPki();
  Security security = Cluster();
  security.cert_pem = pki.cert_pem;
  security.key_pem = pki.key_pem;
  security.ca_pem = pki.ca_pem;
  return security;
}

Security StartedAsJob(const Security& daemon, const std::string& job) {
  for (const auto& [name, value] : JobEnvironment(daemon, job)) {
    setenv(name.c_str(), value.c_str(), 1);
  }
  return TakeJobSecurity({"127.0.0.1"});
}

TEST(SecureTransportTest, AJobsProcessesServeUnderTheJobsOwnAuthority) {
  const Security cluster = ClusterWithTls();
  TestNode daemon(With(cluster)), executor(With(StartedAsJob(cluster, "wc"))),
      other(With(StartedAsJob(cluster, "wc"))), foreign(With(StartedAsJob(cluster, "foreign")));
  executor.transport->Send(daemon.address(), Beat(1));
  EXPECT_THAT(daemon.Await(1), ElementsAre(executor.address() + " 1"));
  daemon.transport->Send(executor.address(), Beat(2));
  EXPECT_THAT(executor.Await(1), ElementsAre(daemon.address() + " 2"));
  executor.transport->Send(other.address(), Beat(3));
  EXPECT_THAT(other.Await(1), ElementsAre(executor.address() + " 3"));
  executor.transport->Send(foreign.address(), Beat(4));
  EXPECT_EQ(executor.Await(2)[1], foreign.address() + " broken");
}

TEST(SecureTransportTest, OverTlsADaemonReachesAJobsProcessThatHasNotCalledIt) {
  const Security cluster = ClusterWithTls();
  TestNode daemon(With(cluster)), job_driver(With(StartedAsJob(cluster, "wc")));
  daemon.transport->Introduce(job_driver.address(), "wc");
  daemon.transport->Send(job_driver.address(), Beat(1));
  EXPECT_THAT(job_driver.Await(1), ElementsAre(daemon.address() + " 1"));
}

// A link that says of itself where its process is.
class ClaimingLink {
 public:
  ClaimingLink(const std::string& to, const Security& security, const std::string& from)
      : stub_(proto::Link::NewStub(MakeChannel(to, security))) {
    context_.AddMetadata("sluice-from", from);
    Authorize(context_, to, security, "");
    stream_ = stub_->Open(&context_);
    stream_->WaitForInitialMetadata();
    taken_ = context_.GetServerInitialMetadata().count("sluice-link") != 0;
  }
  ~ClaimingLink() {
    context_.TryCancel();
    (void)stream_->Finish();
  }
  bool taken() const { return taken_; }

 private:
  std::unique_ptr<proto::Link::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<proto::Envelope, proto::Envelope>> stream_;
  bool taken_ = false;
};

TEST(SecureTransportTest, NoProcessOfAJobIsAtTheAddressOfADaemon) {
  const Security cluster = ClusterWithTls();
  TestNode caller(With(cluster)), called(With(cluster)), self(With(cluster));
  caller.transport->Send(self.address(), Beat(1));
  EXPECT_THAT(self.Await(1), ElementsAre(caller.address() + " 1"));
  self.transport->Send(called.address(), Beat(1));
  EXPECT_THAT(called.Await(1), ElementsAre(self.address() + " 1"));
  const Security job = StartedAsJob(cluster, "wc");
  for (const std::string& address : {caller.address(), called.address(), self.address()}) {
    EXPECT_FALSE(ClaimingLink(self.address(), job, address).taken()) << address;
  }
  EXPECT_TRUE(ClaimingLink(self.address(), cluster, called.address()).taken());
}

// It parted two daemons until one of them was started anew.
TEST(SecureTransportTest, ADaemonIsReachedThoughAProcessOfAJobSaysThatItIsThere) {
  const Security cluster = ClusterWithTls();
  TestNode a(With(cluster)), b(With(cluster));
  const ClaimingLink claim(a.address(), StartedAsJob(cluster, "wc"), b.address());
  EXPECT_TRUE(claim.taken()) << "nothing is known there";
  a.transport->Send(b.address(), Beat(1));
  EXPECT_THAT(a.Await(1), ElementsAre(b.address() + " broken"));
  a.transport->Send(b.address(), Beat(2));
  EXPECT_THAT(b.Await(1), ElementsAre(a.address() + " 2"));
}

TEST(SecureTransportTest, AProcessOfAnotherJobDoesNotTakeTheAddressOfOne) {
  const Security cluster = ClusterWithTls();
  TestNode daemon(With(cluster)), executor(With(StartedAsJob(cluster, "wc")));
  executor.transport->Send(daemon.address(), Beat(1));
  EXPECT_THAT(daemon.Await(1), ElementsAre(executor.address() + " 1"));
  const Security other = StartedAsJob(cluster, "other");
  EXPECT_FALSE(ClaimingLink(daemon.address(), other, executor.address()).taken());
  daemon.transport->Send(executor.address(), Beat(2));
  EXPECT_THAT(executor.Await(1), ElementsAre(daemon.address() + " 2"));
}

TEST(SecureTransportTest, ADaemonIsReachedAtAPortThatAnExecutorHad) {
  TestNode daemon(With(Cluster()));
  GrpcTransportOptions there = With(Cluster());
  TestHandler seen;
  absl::StatusOr<std::unique_ptr<GrpcTransport>> later;
  for (size_t tries = 0; !later.ok(); ++tries) {  // somebody else may take the port first
    ASSERT_LT(tries, 20u) << later.status();
    {
      TestNode executor(With(Job("wc")));
      executor.transport->Send(daemon.address(), Beat(1));
      EXPECT_EQ(daemon.Await(2 * tries + 1)[2 * tries], executor.address() + " 1");
      there.port = std::stoi(executor.address().substr(executor.address().rfind(':') + 1));
    }
    EXPECT_EQ(daemon.Await(2 * tries + 2)[2 * tries + 1],
              "127.0.0.1:" + std::to_string(there.port) + " refused");
    later = GrpcTransport::Start(there, &seen);
  }
  proto::Envelope copy;  // that is not taken from a job's process
  copy.mutable_block_copy()->set_data("x");
  daemon.transport->Send((*later)->address(), copy);
  EXPECT_THAT(seen.Await(1), ElementsAre(daemon.address() + " copy 1"));
}

TEST(SecureTransportTest, AJobsProcessHoldsNoKeyOfTheCluster) {
  const Security cluster = ClusterWithTls();
  const Security process = StartedAsJob(cluster, "wc");
  EXPECT_EQ(process.job, "wc");
  EXPECT_EQ(process.cluster_token, "");
  EXPECT_EQ(process.ca_pem, cluster.ca_pem);
  EXPECT_NE(process.key_pem, cluster.key_pem);
  EXPECT_EQ(StartedAsJob({}, "wc").has_token(), false);
  EXPECT_EQ(getenv("SLUICE_JOB_TOKEN"), nullptr);
  EXPECT_EQ(getenv("SLUICE_JOB_CA"), nullptr);
  Security insecure;
  insecure.insecure = true;
  EXPECT_TRUE(StartedAsJob(insecure, "wc").insecure);
}

TEST(SecureTransportTest, AServerThatTheCaDoesNotKnowIsNotTrusted) {
  const TestPki pki = MakeTestPki(), other = MakeTestPki();
  FakeDriver service;
  GrpcTransportOptions options = With(Cluster());
  options.security.cert_pem = pki.cert_pem;
  options.security.key_pem = pki.key_pem;
  options.security.ca_pem = pki.ca_pem;
  options.services = {&service};
  TestNode daemon(options);
  Security client = Cluster();
  client.ca_pem = pki.ca_pem;
  EXPECT_EQ(List(daemon.address(), client), grpc::StatusCode::OK);
  client.ca_pem = other.ca_pem;
  EXPECT_EQ(List(daemon.address(), client), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(List(daemon.address(), Cluster()), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace sluice
