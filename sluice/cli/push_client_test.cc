// The push client against a receiver that takes small messages only.
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/client.grpc.pb.h"
#include "sluice/cli/push_client.h"

namespace sluice::cli {
namespace {

using testing::HasSubstr;

class Receiver : public proto::Push::Service {
 public:
  explicit Receiver(int message_bytes_max) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.SetMaxReceiveMessageSize(message_bytes_max);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  using Stream = grpc::ServerReaderWriter<proto::PushReply, proto::PushRequest>;
  grpc::Status Push(grpc::ServerContext*, Stream* stream) override {
    proto::PushRequest request;
    proto::PushReply reply;
    while (stream->Read(&request)) {
      if (request.records_size() > 0) reply.set_last(request.first() + request.records_size() - 1);
      stream->Write(reply);
    }
    return grpc::Status::OK;
  }
  const std::string& address() const { return address_; }

 private:
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

absl::StatusOr<int64_t> Push(const Receiver& receiver, const std::string& lines) {
  int fds[2];
  EXPECT_EQ(pipe(fds), 0);
  std::thread writer([&] {
    EXPECT_EQ(write(fds[1], lines.data(), lines.size()), static_cast<ssize_t>(lines.size()));
    close(fds[1]);
  });
  PushOptions options;
  options.stream = "lines";
  options.producer = "p";
  PushWindow window({});
  const auto pushed = PushLines(fds[0], options, &window, [&]() -> absl::StatusOr<std::string> {
    return receiver.address();
  });
  writer.join();
  close(fds[0]);
  return pushed;
}

TEST(PushClient, LongLinesAreSentInMessagesThatTheReceiverTakes) {
  const Receiver receiver(2 << 20);
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += std::string(84'000, 'x') + "\n";
  const auto pushed = Push(receiver, lines);
  ASSERT_TRUE(pushed.ok()) << pushed.status();
  EXPECT_EQ(*pushed, 100);
}

TEST(PushClient, ALineThatNoMessageHoldsIsNamedInsteadOfSentForEver) {
  const Receiver receiver(2 << 20);
  const auto pushed = Push(receiver, "a\nb\n" + std::string(3 << 20, 'x') + "\nc\n");
  EXPECT_EQ(pushed.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(pushed.status().message(), HasSubstr("line 3, of 3145728 bytes"));
}

}  // namespace
}  // namespace sluice::cli
