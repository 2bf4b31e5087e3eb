// Messages that reach a worker daemon: any that the wire can carry, from anybody, in any order.
// The core must live; what it believes is another matter.
//
// An input is pieces: who sends (a byte), then the message.
#include "google/protobuf/stubs/logging.h"
#include "tests/fuzz/fuzz.h"
#include "worker/daemon/worker_core.h"

namespace sluice::fuzz {
namespace {

constexpr const char* kSenders[] = {"driver:1", "jd:1", "ex:1", "w2:1", "stranger:1"};

std::string Say(uint8_t sender, const proto::Envelope& message) {
  return std::string(1, static_cast<char>(sender)) + AsPiece(message.SerializeAsString());
}

}  // namespace

std::vector<std::string> Seeds() {
  proto::Envelope session;
  session.mutable_job_session()->set_job("wc");
  session.mutable_job_session()->set_job_instance(7);
  session.mutable_job_session()->set_epoch(1);
  proto::Envelope attach;
  attach.mutable_executor_attach()->set_job_instance(7);
  attach.mutable_executor_attach()->set_epoch(1);
  attach.mutable_executor_attach()->set_executor(3);
  attach.mutable_executor_attach()->set_link_address("ex:1");
  proto::Envelope seal;
  auto* slice = seal.mutable_seal_slices()->add_slices();
  slice->mutable_block()->mutable_name()->set_job_instance(7);
  slice->mutable_block()->mutable_name()->set_stream(1);
  slice->mutable_block()->mutable_name()->set_incarnation(5);
  slice->mutable_block()->mutable_name()->set_number(1);
  slice->mutable_block()->set_records(2);
  slice->set_length(10);
  proto::Envelope tick;
  tick.mutable_seal_tick()->set_job_instance(7);
  tick.mutable_seal_tick()->set_batch_ms(1000);
  proto::Envelope beat;
  beat.mutable_lease_beat()->set_job_instance(7);
  proto::Envelope release;
  release.mutable_release_blocks()->set_job_instance(7);
  proto::Envelope ended;
  ended.mutable_job_ended()->set_job_instance(7);
  return {Say(1, session), Say(1, session) + Say(2, attach) + Say(2, seal) + Say(1, tick),
          Say(1, session) + Say(1, beat) + Say(1, release) + Say(1, ended)};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  google::protobuf::SetLogHandler(nullptr);  // of texts that are no UTF-8
  fuzz::Input in(fuzz::Bytes(data, size));
  WorkerCore core({.worker_id = "w1",
                   .incarnation = 11,
                   .address = "w1:1",
                   .host = "h1",
                   .slots = 2,
                   .driver_address = "driver:1"});
  MonotonicTime now = 1'000'000;
  core.Step(now, worker::Tick{});
  while (!in.empty()) {
    worker::Received event{fuzz::kSenders[in.Byte() % std::size(fuzz::kSenders)], {}};
    const std::string_view message = in.Piece();
    if (!event.message.ParseFromArray(message.data(), static_cast<int>(message.size()))) continue;
    core.Step(now, std::move(event));
    core.Step(now += 20'000, worker::Tick{});
  }
  return 0;
}
