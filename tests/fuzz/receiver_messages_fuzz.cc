// Messages that reach a receiver while it stores, in any order: none may end it, and what a source
// borrowed out must be given back when it cancels.
//
// An input is pieces: what happens (a byte), then, for a message, the message.
#include "google/protobuf/stubs/logging.h"
#include "tests/fuzz/fuzz.h"
#include "worker/receiver/buffer_pools.h"
#include "worker/receiver/receiver_core.h"

namespace sluice::fuzz {
namespace {

constexpr uint64_t kFirstBuffer = uint64_t{1} << 63;  // of the heap pool

std::string Say(const proto::Envelope& message) {
  return std::string(1, '\0') + AsPiece(message.SerializeAsString());
}

}  // namespace

std::vector<std::string> Seeds() {
  proto::Envelope sealed;
  sealed.mutable_sealed_slices()->add_arena_offsets(kFirstBuffer);
  proto::Envelope verdict;
  verdict.mutable_block_verdict()->set_accepted(true);
  verdict.mutable_block_verdict()->mutable_name()->set_job_instance(7);
  verdict.mutable_block_verdict()->mutable_name()->set_stream(1);
  verdict.mutable_block_verdict()->mutable_name()->set_incarnation(5);
  verdict.mutable_block_verdict()->mutable_name()->set_number(1);
  proto::Envelope answer;
  answer.mutable_producer_answer()->set_job_instance(7);
  answer.mutable_producer_answer()->set_stream(1);
  answer.mutable_producer_answer()->set_producer("p");
  proto::Envelope tick;
  tick.mutable_seal_tick()->set_job_instance(7);
  tick.mutable_seal_tick()->set_batch_ms(1000);
  const std::string store = "\1", numbered = "\2", time = "\3", cancel = "\4";
  return {store + time + Say(sealed) + Say(tick),
          numbered + Say(answer) + time + Say(sealed) + Say(verdict) + time,
          numbered + Say(answer) + cancel + Say(verdict) + Say(tick) + time};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  google::protobuf::SetLogHandler(nullptr);  // of texts that are no UTF-8
  fuzz::Input in(fuzz::Bytes(data, size));
  RecordBatch records;
  for (const char* record : {"one", "two", "three"}) records.Append(record);
  const auto pool = NewHeapPool();
  ReceiverCore core({.job_instance = 7, .streams = {{1, 5}}, .daemon = "w:1"}, pool.get());
  MonotonicTime now = 1'000'000;
  uint64_t id = 0;
  while (!in.empty()) {
    receiver::Commands out;
    switch (in.Byte() % 5) {
      case 0: {
        receiver::Received event;
        const std::string_view message = in.Piece();
        if (!event.message.ParseFromArray(message.data(), static_cast<int>(message.size()))) break;
        core.Step(now, event);
        break;
      }
      case 1:
        core.Store(now, 1, "record", out);
        break;
      case 2:
        ++id;
        core.Step(now, receiver::StoreRequest{id, 1, records.view(), "p",
                                              static_cast<int64_t>(id * 3 - 2)});
        break;
      case 3:
        core.Step(now += 20'000, receiver::Tick{});
        break;
      case 4:
        core.Step(now, receiver::Cancel{id, 1});
        break;
    }
  }
  for (; id > 0; --id) core.Step(now, receiver::Cancel{id, 1});
  core.Step(now, receiver::SealAll{});
  return 0;
}
