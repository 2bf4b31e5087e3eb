// Receivers, their daemon and producers as a whole, in one process; the job driver is the test.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "common/exit_code.h"
#include "common/net/grpc_transport.h"
#include "common/net/local_transport.h"
#include "common/net/push_service.h"
#include "proto/client.grpc.pb.h"
#include "worker/daemon/local_block_host.h"
#include "worker/receiver/buffer_pools.h"
#include "worker/receiver/receiver_host.h"

namespace sluice {
namespace {

constexpr uint64_t kJob = 7;
constexpr uint32_t kStream = 3;
constexpr uint64_t kIncarnation = 33;

// Logs every block whose producers' numbers go on, and says so.
class TestJobDriver : public Transport::Handler {
 public:
  void OnMessage(const std::string& from, proto::Envelope message) override {
    std::lock_guard lock(mutex_);
    if (message.has_block_announce()) {
      const auto& block = message.block_announce().block();
      proto::Envelope reply;
      auto* verdict = reply.mutable_block_verdict();
      *verdict->mutable_name() = block.name();
      bool accepted = true;
      for (const auto& range : block.producers()) {
        accepted &= range.first() == last_[range.producer()] + 1;
      }
      if (accepted && logged_.insert({block.name().number(), block.records()}).second) {
        for (const auto& range : block.producers()) last_[range.producer()] = range.last();
        records_ += block.records();
      }
      verdict->set_accepted(accepted);
      for (const auto& range : block.producers()) {
        verdict->add_last()->set_producer(range.producer());
        verdict->mutable_last()->rbegin()->set_last(last_[range.producer()]);
      }
      transport->Send(from, std::move(reply));
    } else if (message.has_producer_query() && answers) {
      const auto& query = message.producer_query();
      proto::Envelope reply;
      auto* answer = reply.mutable_producer_answer();
      answer->set_stream(query.stream());
      answer->set_producer(query.producer());
      answer->set_incarnation(query.incarnation());
      answer->set_job_instance(query.job_instance());
      answer->set_last(last_[query.producer()]);
      if (refuses) answer->set_refused("too many");
      transport->Send(from, std::move(reply));
    }
    exited_ |= message.has_executor_exited();
    changed_.notify_all();
  }
  void OnPeerDown(const std::string&, bool) override {}
  // Records that came before the executor's end.
  uint64_t AwaitExit() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return exited_; });
    return records_;
  }
  void AwaitRecords(uint64_t records) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return records_ >= records; });
    EXPECT_EQ(records_, records);
  }
  void Know(const std::string& producer, int64_t last) {
    std::lock_guard lock(mutex_);
    last_[producer] = last;
  }
  Transport* transport = nullptr;
  std::atomic<bool> answers = true;  // to who asks for a last number
  std::atomic<bool> refuses = false;  // whoever does

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, int64_t> last_;
  std::set<std::pair<uint64_t, uint64_t>> logged_;
  uint64_t records_ = 0;
  bool exited_ = false;
};

class HostHandler : public Transport::Handler {
 public:
  void OnMessage(const std::string&, proto::Envelope message) override {
    if (host != nullptr) host->OnMessage(message);
  }
  void OnPeerDown(const std::string&, bool) override {}
  ReceiverHost* host = nullptr;
};

class ReceiverTest : public testing::Test {
 protected:
  void SetUp() override {
    driver_transport_ = hub_.Open("jd", &driver_, &loop_);
    driver_.transport = driver_transport_.get();
    LocalBlockHostOptions options;
    options.end_executor = [this](const ExecutorKey&) {
      if (!ends_host_) return;
      host_->Stop();
      EXPECT_TRUE(host_->AwaitSealed(2'000));
    };
    auto daemon = LocalBlockHost::Start(options, &hub_, &loop_);
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = std::move(*daemon);
    proto::Envelope session;
    session.mutable_job_session()->set_job("wc");
    session.mutable_job_session()->set_job_instance(kJob);
    session.mutable_job_session()->set_epoch(1);
    session.mutable_job_session()->set_address("jd");
    session.mutable_job_session()->set_replication(1);
    driver_transport_->Send("worker", session);
    proto::Envelope start;
    start.mutable_start_executor()->set_job_instance(kJob);
    start.mutable_start_executor()->set_epoch(1);
    start.mutable_start_executor()->set_executor(1);
    start.mutable_start_executor()->set_role("receivers");
    start.mutable_start_executor()->add_streams(kStream);
    start.mutable_start_executor()->add_incarnations(kIncarnation);
    driver_transport_->Send("worker", start);
    node_transport_ = hub_.Open("node", &handler_, &loop_);
    loop_.Sync();
    proto::Envelope attach;
    attach.mutable_executor_attach()->set_job_instance(kJob);
    attach.mutable_executor_attach()->set_epoch(1);
    attach.mutable_executor_attach()->set_executor(1);
    node_transport_->Send("worker", attach);
  }
  void StartHost(std::shared_ptr<const ReceiverFactory> factory) {
    ReceiverHostOptions options;
    options.job_instance = kJob;
    options.daemon = "worker";
    options.streams = {{kStream, "orders", kIncarnation, std::move(factory)}};
    options.block_interval_us = block_interval_us_;
    options.report = [this](const std::string& line) {
      std::lock_guard lock(report_mutex_);
      reports_.push_back(line);
      reported_.notify_all();
    };
    host_ = std::make_unique<ReceiverHost>(options, NewHeapPool(), node_transport_.get(), &loop_);
    handler_.host = host_.get();
    host_->Start();
  }
  void AwaitReport(const std::string& part) {
    std::unique_lock lock(report_mutex_);
    reported_.wait(lock, [&] {
      for (const auto& line : reports_) {
        if (line.find(part) != std::string::npos) return true;
      }
      return false;
    });
  }
  void TearDown() override {
    if (host_ != nullptr) host_->Stop();
    node_transport_.reset();
    daemon_.reset();
    driver_transport_.reset();
    loop_.Sync();
  }

  EventLoop loop_;
  LocalHub hub_;
  TestJobDriver driver_;
  HostHandler handler_;
  std::unique_ptr<Transport> driver_transport_;
  std::unique_ptr<LocalBlockHost> daemon_;
  std::unique_ptr<Transport> node_transport_;
  std::unique_ptr<ReceiverHost> host_;
  int64_t block_interval_us_ = 20'000;
  std::atomic<bool> ends_host_ = false;  // when its daemon is told to
  std::mutex report_mutex_;
  std::condition_variable reported_;
  std::vector<std::string> reports_;
};

// Makes bodies out of a function.
class Bodies : public ReceiverFactory {
 public:
  explicit Bodies(std::function<void(ReceiverSink&)> run) : run_(std::move(run)) {}
  std::unique_ptr<ReceiverBody> New() const override {
    class Body : public ReceiverBody {
     public:
      explicit Body(const Bodies* factory) : factory_(factory) {}
      void Run(ReceiverSink& sink) override { factory_->run_(sink); }

     private:
      const Bodies* factory_;
    };
    return std::make_unique<Body>(this);
  }

 private:
  std::function<void(ReceiverSink&)> run_;
};

TEST_F(ReceiverTest, StoresWhatABodyReceivesWithoutACopyBeyondTheSeal) {
  StartHost(std::make_shared<Bodies>([](ReceiverSink& sink) {
    for (int i = 0; i < 10'000; ++i) ASSERT_TRUE(sink.Store("record " + std::to_string(i)));
    sink.WaitStopping(1'000'000);
  }));
  driver_.AwaitRecords(10'000);
  EXPECT_EQ(daemon_->store()->counters().read_copies, 0u);
  EXPECT_EQ(daemon_->store()->counters().seal_copies, daemon_->store()->counters().blocks);
}

// They were handed to a loop that waited for this end, and went with it.
TEST_F(ReceiverTest, WhatIsNotSealedWhenALocalReceiverIsStoppedIsAnnouncedBeforeItsEnd) {
  block_interval_us_ = 3'600'000'000;
  ends_host_ = true;
  StartHost(std::make_shared<Bodies>([](ReceiverSink& sink) {
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(sink.Store("record " + std::to_string(i)));
    sink.ReportError("all stored");
    sink.WaitStopping(3'600'000);
  }));
  AwaitReport("all stored");
  proto::Envelope stop;
  stop.mutable_stop_executor()->set_job_instance(kJob);
  stop.mutable_stop_executor()->set_epoch(1);
  stop.mutable_stop_executor()->set_executor(1);
  driver_transport_->Send("worker", stop);
  EXPECT_EQ(driver_.AwaitExit(), 500u);
}

TEST_F(ReceiverTest, AReliableStoreReturnsTheLastLoggedNumberAndDropsDuplicates) {
  driver_.Know("p", 5);
  std::atomic<int64_t> asked{-1}, stored{-1}, again{-1};
  std::atomic<bool> gap{true};
  StartHost(std::make_shared<Bodies>([&](ReceiverSink& sink) {
    asked = sink.LastLogged("p").value_or(-2);
    const auto batch = [] {
      EncodedBatch five;
      for (int n = 4; n <= 8; ++n) five.Append("r" + std::to_string(n));
      return five;
    };
    stored = sink.StoreReliably(batch(), "p", 4).value_or(-2);
    again = sink.StoreReliably(batch(), "p", 4).value_or(-2);
    gap = sink.StoreReliably(batch(), "p", 100).has_value();
    sink.ReportError("done");
    sink.WaitStopping(1'000'000);
  }));
  AwaitReport("done");
  EXPECT_EQ(asked, 5);
  EXPECT_EQ(stored, 8);
  EXPECT_EQ(again, 8);
  EXPECT_FALSE(gap);
  driver_.AwaitRecords(3);
}

TEST_F(ReceiverTest, ARecordAboveTheLargestSizeIsSaidWhoeverStoresIt) {
  StartHost(std::make_shared<Bodies>([](ReceiverSink& sink) {
    const std::string record(kRecordBytesMax + 1, 'x');
    EXPECT_TRUE(sink.Store(record));
    EncodedBatch batch;
    batch.Append("small");
    batch.Append(record);
    // "Send it again" was the answer, for ever.
    EXPECT_THROW(sink.StoreReliably(std::move(batch), "p", 7), std::length_error);
    sink.ReportError("done");
    sink.WaitStopping(1'000'000);
  }));
  AwaitReport("done");
  std::lock_guard lock(report_mutex_);
  EXPECT_EQ(reports_[0],
            "receiver orders: a record of 67108865 bytes is longer than 64 MiB and was dropped");
}

TEST_F(ReceiverTest, ABodyThatThrowsRunsAgainAfterAVisibleBackOff) {
  auto runs = std::make_shared<std::atomic<int>>(0);
  StartHost(std::make_shared<Bodies>([runs](ReceiverSink& sink) {
    if (++*runs < 3) throw std::runtime_error("no connection");
    sink.ReportError("third run");
    sink.WaitStopping(1'000'000);
  }));
  AwaitReport("third run");
  std::lock_guard lock(report_mutex_);
  EXPECT_NE(reports_[0].find("no connection"), std::string::npos);
  EXPECT_NE(reports_[1].find("runs again in 200 ms"), std::string::npos);
}

// Each producer that gave up left a thread behind while the worker or its job driver was away.
TEST_F(ReceiverTest, NobodyWaitsForTheLastNumberOfAProducerThatIsGone) {
  driver_.answers = false;
  StartHost(nullptr);
  int looks = 0;
  EXPECT_FALSE(host_->LastLogged(kStream, "p", [&] { return ++looks == 2; }).ok());
  driver_.answers = true;
  EXPECT_EQ(*host_->LastLogged(kStream, "p", [] { return false; }), 0);
}

class PushTest : public ReceiverTest {
 protected:
  void SetUp() override {
    ReceiverTest::SetUp();
    StartHost(nullptr);
    GrpcTransportOptions options;
    options.services = {push_.service()};
    auto transport = GrpcTransport::Start(options, &handler_);
    ASSERT_TRUE(transport.ok()) << transport.status();
    server_ = std::move(*transport);
    push_.Serve(host_.get());
    channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
    stub_ = proto::Push::NewStub(channel_);
  }
  void TearDown() override {
    host_->Stop();
    push_.Stop();
    server_.reset();
    ReceiverTest::TearDown();
  }
  static proto::PushRequest Request(int64_t first, int64_t last) {
    proto::PushRequest request;
    request.set_stream("orders");
    request.set_producer("p");
    request.set_first(first);
    for (int64_t n = first; n <= last; ++n) request.add_records("r" + std::to_string(n));
    return request;
  }
  PushService push_;
  std::unique_ptr<GrpcTransport> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<proto::Push::Stub> stub_;
};

TEST_F(PushTest, AcknowledgesWhatIsLoggedAndStoresOnceWhatComesTwice) {
  for (int round = 0; round < 2; ++round) {
    grpc::ClientContext context;
    auto call = stub_->Push(&context);
    for (int64_t first = 1; first <= 901; first += 100) {
      ASSERT_TRUE(call->Write(Request(first, first + 99)));
    }
    call->WritesDone();
    proto::PushReply reply;
    int64_t last = -1;
    bool first_reply = true;
    while (call->Read(&reply)) {
      EXPECT_EQ(reply.refused().exit_code(), 0) << reply.refused().message();
      if (std::exchange(first_reply, false)) {
        EXPECT_EQ(reply.last(), round == 0 ? 0 : 1000);
      }
      EXPECT_GE(reply.last(), last);
      last = reply.last();
    }
    EXPECT_TRUE(call->Finish().ok());
    EXPECT_EQ(last, 1000);
  }
  driver_.AwaitRecords(1000);
}

// Else a producer would give up when its receiver moves.
TEST_F(PushTest, AReceiverThatEndsSendsTheProducerToItsSuccessor) {
  grpc::ClientContext context;
  auto call = stub_->Push(&context);
  ASSERT_TRUE(call->Write(Request(1, 2)));
  proto::PushReply reply;
  do {
    ASSERT_TRUE(call->Read(&reply));
  } while (reply.last() < 2);
  host_->Stop();
  ASSERT_TRUE(call->Write(Request(3, 4)));
  ASSERT_TRUE(call->Read(&reply));
  EXPECT_EQ(reply.last(), 2);
  EXPECT_EQ(reply.refused().exit_code(), kExitUnreachable);
}

TEST_F(PushTest, AProducerThatIsNotTakenHearsWhy) {
  driver_.refuses = true;
  for (const size_t name_bytes : {1, 257}) {
    grpc::ClientContext context;
    auto call = stub_->Push(&context);
    proto::PushRequest request = Request(1, 1);
    request.set_producer(std::string(name_bytes, 'p'));
    ASSERT_TRUE(call->Write(request));
    proto::PushReply reply;
    ASSERT_TRUE(call->Read(&reply));
    EXPECT_EQ(reply.refused().exit_code(), name_bytes == 1 ? kExitRefused : kExitUsage);
    EXPECT_FALSE(call->Read(&reply));
  }
}

TEST_F(PushTest, AProducerThatWasForgottenWhileItsCallWasQuietHearsSo) {
  grpc::ClientContext context;
  auto call = stub_->Push(&context);
  ASSERT_TRUE(call->Write(Request(1, 2)));
  proto::PushReply reply;
  do {
    ASSERT_TRUE(call->Read(&reply));
  } while (reply.last() < 2);
  driver_.Know("p", 0);
  ASSERT_TRUE(call->Write(Request(3, 4)));
  ASSERT_TRUE(call->Read(&reply));
  EXPECT_EQ(reply.refused().exit_code(), kExitRefused);
  EXPECT_NE(reply.refused().message().find("forgotten"), std::string::npos);
}

TEST_F(PushTest, RefusesAnUnknownStreamAndAGap) {
  {
    grpc::ClientContext context;
    auto call = stub_->Push(&context);
    proto::PushRequest request = Request(1, 1);
    request.set_stream("other");
    call->Write(request);
    proto::PushReply reply;
    ASSERT_TRUE(call->Read(&reply));
    EXPECT_EQ(reply.refused().exit_code(), 1);
  }
  grpc::ClientContext context;
  auto call = stub_->Push(&context);
  call->Write(Request(5, 6));
  proto::PushReply reply;
  ASSERT_TRUE(call->Read(&reply));
  EXPECT_EQ(reply.last(), 0);
  ASSERT_TRUE(call->Read(&reply));
  EXPECT_EQ(reply.refused().exit_code(), 1);
  call->WritesDone();
}

}  // namespace
}  // namespace sluice
