// A client of a driver daemon that has taken the call and does not answer.
#include "sluice/cli/client.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "common/exit_status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/client.grpc.pb.h"

namespace sluice::cli {
namespace {

// Ends when the client does not wait for it any more.
class NoAnswer : public grpc::ServerUnaryReactor {
  void OnCancel() override { Finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }
};

// Leads, and hangs at all else.
class HangingDriver : public proto::Driver::CallbackService {
 public:
  HangingDriver() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  const std::string& address() const { return address_; }

  grpc::ServerUnaryReactor* Leader(grpc::CallbackServerContext* context,
                                   const proto::ListRequest*,
                                   proto::LeaderReply* reply) override {
    reply->set_leads(true);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerUnaryReactor* FindStream(grpc::CallbackServerContext*,
                                       const proto::FindStreamRequest*,
                                       proto::FindStreamReply*) override {
    return new NoAnswer;
  }
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext*, const proto::ListRequest*,
                                     proto::JobList*) override {
    return new NoAnswer;
  }

 private:
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

TEST(Client, ADriverThatDoesNotAnswerInTimeIsAway) {
  const HangingDriver driver;
  Typed typed;
  typed.flags["driver"] = {driver.address()};
  typed.flags["connect-timeout"] = {"1s"};
  const auto client = Client::Connect(typed);
  ASSERT_TRUE(client.ok()) << client.status();
  const absl::Status found = (*client)->FindStream("wc", "lines").status();
  EXPECT_EQ(ExitCodeOf(found.code()), kExitUnreachable) << found;
  EXPECT_THAT(found.message(), testing::HasSubstr(driver.address()));
  proto::JobList jobs;
  EXPECT_EQ(ExitCodeOf((*client)->ListJobs(&jobs).code()), kExitUnreachable);
}

}  // namespace
}  // namespace sluice::cli
