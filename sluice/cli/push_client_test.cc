// The push client against receivers that take small messages only, or do not answer.
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/client.grpc.pb.h"
#include "sluice/cli/push_client.h"

namespace sluice::cli {
namespace {

using testing::HasSubstr;

class Receiver : public proto::Push::Service {
 public:
  explicit Receiver(int message_bytes_max, int replies_max = INT_MAX) : replies_max_(replies_max) {
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
    int replies = 0;
    for (; stream->Read(&request); ++replies) {
      if (request.records_size() > 0) reply.set_last(request.first() + request.records_size() - 1);
      if (replies < replies_max_) {
        stream->Write(reply);
        if (ends_ && replies + 1 == replies_max_) break;
      } else if (answers_late_) {
        released_.WaitForNotification();
        stream->Write(reply);
      }
    }
    if (answers_late_) ended_.Notify();
    return grpc::Status::OK;
  }
  const std::string& address() const { return address_; }

  // The call ends with its last reply.
  void EndWithLast() { ends_ = true; }
  // Replies beyond the first ones come when this is called, which returns when the client has had
  // them all. One call, of one batch.
  void AnswerLate() { answers_late_ = true; }
  void AnswerNow() {
    released_.Notify();
    ended_.WaitForNotification();
  }

 private:
  const int replies_max_;  // of each call
  bool answers_late_ = false;
  bool ends_ = false;
  absl::Notification released_, ended_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

absl::StatusOr<int64_t> Push(
    const std::string& lines, const FindReceiver& find,
    std::chrono::milliseconds ask_after = std::chrono::milliseconds(10)) {
  int fds[2];
  EXPECT_EQ(pipe(fds), 0);
  std::thread writer([&] {
    EXPECT_EQ(write(fds[1], lines.data(), lines.size()), static_cast<ssize_t>(lines.size()));
    close(fds[1]);
  });
  PushOptions options;
  options.stream = "lines";
  options.producer = "p";
  options.ask_after = ask_after;
  PushWindow window({});
  const auto pushed = PushLines(fds[0], options, &window, find);
  writer.join();
  close(fds[0]);
  return pushed;
}

absl::StatusOr<int64_t> Push(const Receiver& receiver, const std::string& lines) {
  return Push(lines, [&] { return absl::StatusOr<std::string>(receiver.address()); });
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

// The worker of the first hangs; its connection is whole.
TEST(PushClient, GoesOnAtTheSuccessorOfAReceiverThatTakesRecordsAndNeverAnswers) {
  for (const int replies : {0, 1}) {
    const Receiver mute(2 << 20, replies), successor(2 << 20);
    int asked = 0;
    const auto pushed = Push("a\nb\nc\n", [&] {
      // It is placed only after a while.
      const std::string places[] = {mute.address(), mute.address(), "", successor.address()};
      return absl::StatusOr<std::string>(places[std::min(asked++, 3)]);
    });
    ASSERT_TRUE(pushed.ok()) << pushed.status();
    EXPECT_EQ(*pushed, 3) << "a receiver of " << replies << " replies";
  }
}

// What it would send is behind a gap now, and would be for ever.
TEST(PushClient, IsToldWhenTheJobHasForgottenWhatItAcknowledged) {
  Receiver former(2 << 20, 2);
  former.EndWithLast();
  const Receiver forgetful(2 << 20);
  std::string lines;
  for (int i = 0; i < 1'500; ++i) lines += "x\n";  // of which a message holds 1,000
  int asked = 0;
  const auto find = [&] {
    return absl::StatusOr<std::string>(asked++ == 0 ? former.address() : forgetful.address());
  };
  const auto pushed = Push(lines, find, std::chrono::hours(1));
  EXPECT_EQ(pushed.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(pushed.status().message(), HasSubstr("has forgotten producer p"));
}

// All was acknowledged while the driver was asked, and what it said of the job counted.
TEST(PushClient, WhatHasBecomeOfTheJobIsNothingToOneWhoseLinesAreAllAcknowledged) {
  Receiver slow(2 << 20, 1);
  slow.AnswerLate();
  int asked = 0;
  const auto pushed = Push("a\n", [&]() -> absl::StatusOr<std::string> {
    if (asked++ == 0) return slow.address();
    slow.AnswerNow();
    return absl::NotFoundError("the job has ended");
  });
  ASSERT_TRUE(pushed.ok()) << pushed.status();
  EXPECT_EQ(*pushed, 1);
}

TEST(PushClient, EndsWithAJobWhoseReceiverNeverAnswers) {
  const Receiver mute(2 << 20, 1);
  int asked = 0;
  const auto pushed = Push("a\n", [&]() -> absl::StatusOr<std::string> {
    if (asked++ == 0) return mute.address();
    return absl::NotFoundError("the job has ended");
  });
  EXPECT_EQ(pushed.status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace sluice::cli
