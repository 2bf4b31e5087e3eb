// A receiver executor's core for tests that play its daemon and its job driver.
#pragma once

#include <gtest/gtest.h>

#include <list>
#include <string>
#include <utility>
#include <vector>

#include "worker/receiver/buffer_pools.h"
#include "worker/receiver/receiver_core.h"

namespace sluice {

inline constexpr uint32_t kStream = 4;
inline constexpr uint64_t kIncarnation = 44;
using Words = std::vector<std::string>;

// A receiver executor with one stream. Its daemon and its job driver answer when the test says so.
class ReceiverCoreTest : public testing::Test {
 protected:
  explicit ReceiverCoreTest(HeapPoolOptions options = {}, double max_rate = 0,
                            double initial_rate = 0)
      : pool_(NewHeapPool(options)),
        core_({7, {{kStream, kIncarnation}}, "daemon", 200'000, max_rate, initial_rate},
              pool_.get()) {}

  void Take(receiver::Commands commands) {
    for (auto& command : commands) Take(command);
  }
  void Take(receiver::Command& command) {
    if (auto* send = std::get_if<Send>(&command)) {
      const proto::Envelope& e = send->message;
      for (const auto& slice : e.seal_slices().slices()) {
        std::vector<uint32_t> scratch;
        const auto view = DecodeBatch(slice.inlined(), scratch);
        std::string word = "seal " + std::to_string(slice.block().name().number()) + ":";
        for (uint32_t i = 0; i < view->count; ++i) word += " " + std::string(view->record(i));
        for (const auto& range : slice.block().producers()) {
          word += " (" + range.producer() + " " + std::to_string(range.first()) + "-" +
                  std::to_string(range.last()) + ")";
        }
        words_.push_back(word);
        last_sealed_ = view->data;
        offsets_[slice.block().name().number()] = slice.arena_offset();
      }
      if (e.has_producer_query()) words_.push_back("ask " + e.producer_query().producer());
      if (e.has_seal_done()) words_.push_back("seal done");
    } else if (auto* completed = std::get_if<receiver::Completed>(&command)) {
      words_.push_back("request " + std::to_string(completed->id) +
                       (completed->last.has_value() ? " logged " + std::to_string(*completed->last)
                                                    : " failed"));
    } else if (auto* answered = std::get_if<receiver::Answered>(&command)) {
      words_.push_back("answer " + std::to_string(answered->last));
    } else if (std::holds_alternative<receiver::RoomFreed>(command)) {
      words_.push_back("room");
    }
  }
  Words Done() { return std::exchange(words_, {}); }

  ReceiverCore::Stored Store(const std::string& record) {
    receiver::Commands out;
    const auto stored = core_.Store(now_, kStream, record, out);
    Take(std::move(out));
    return stored;
  }
  // Records first, first + 1, … last as text.
  void Request(uint64_t id, const std::string& producer, int64_t first, int64_t last) {
    RecordBatch& batch = batches_.emplace_back();
    for (int64_t n = first; n <= last; ++n) batch.Append(producer + std::to_string(n));
    Take(core_.Step(now_, receiver::StoreRequest{id, kStream, batch.view(), producer, first}));
  }
  // The same, as a batch that may be taken. Returns where its records were.
  const char* RequestWhole(uint64_t id, const std::string& producer, int64_t first, int64_t last) {
    EncodedBatch& batch = whole_.emplace_back();
    batch.Reserve(6, 3);  // exactly
    for (int64_t n = first; n <= last; ++n) batch.Append(producer + std::to_string(n));
    const BatchView view = batch.view();
    Take(core_.Step(now_, receiver::StoreRequest{id, kStream, view, producer, first, &batch}));
    return view.data;
  }
  void After(int64_t ms) {
    now_ += ms * 1000;
    Take(core_.Step(now_, receiver::Tick{}));
  }
  void Receive(const proto::Envelope& e) { Take(core_.Step(now_, receiver::Received{e})); }
  void Answer(const std::string& producer, int64_t last) {
    proto::Envelope e;
    auto* answer = e.mutable_producer_answer();
    answer->set_stream(kStream);
    answer->set_incarnation(kIncarnation);
    answer->set_producer(producer);
    answer->set_last(last);
    Receive(e);
  }
  void Stored(uint64_t number) {
    proto::Envelope e;
    e.mutable_sealed_slices()->add_arena_offsets(offsets_.at(number));
    Receive(e);
  }
  void Verdict(uint64_t number, bool accepted, std::map<std::string, int64_t> last = {}) {
    proto::Envelope e;
    auto* name = e.mutable_block_verdict()->mutable_name();
    name->set_stream(kStream);
    name->set_incarnation(kIncarnation);
    name->set_number(number);
    e.mutable_block_verdict()->set_accepted(accepted);
    for (const auto& [producer, value] : last) {
      auto* entry = e.mutable_block_verdict()->add_last();
      entry->set_producer(producer);
      entry->set_last(value);
    }
    Receive(e);
  }

  std::unique_ptr<BufferPool> pool_;
  ReceiverCore core_;
  MonotonicTime now_ = 1'000'000;
  Words words_;
  std::map<uint64_t, uint64_t> offsets_;
  std::list<RecordBatch> batches_;
  std::list<EncodedBatch> whole_;
  const char* last_sealed_ = nullptr;  // only to be compared
};

}  // namespace sluice
