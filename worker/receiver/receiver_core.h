// The bookkeeping of a receiver executor: fills buffers, seals them as numbered blocks, waits for
// the verdicts, and knows of every producer what is logged. Decides; sends nothing itself.
//
// Invariants:
//   1. blocks of one incarnation are numbered 1, 2, 3 … in the order of their seals;
//   2. of one stream at most one reliable block waits for its verdict: what comes meanwhile is
//      gathered and becomes the next block (a natural group commit), and a producer's records are
//      never in two blocks on their way at once;
//   3. a store completes with the last *logged* number of its producer, or with nothing;
//   4. records at or below the last logged number of their producer are dropped; a gap is refused;
//   5. of producers with nothing under way few are remembered: they are asked about again.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/net/send.h"
#include "common/record_batch.h"
#include "worker/receiver/buffer_pool.h"
#include "worker/receiver/pace.h"

namespace sluice {

namespace receiver {

// ---- events -------------------------------------------------------------------------------

struct Tick {};
struct Received {
  proto::Envelope message;
};
// Records to be stored reliably. `records` is borrowed until Completed{id}; where `whole` is given
// they are its records, and it may be taken.
struct StoreRequest {
  uint64_t id = 0;  // unique
  uint32_t stream = 0;
  BatchView records;
  std::string producer;  // empty: not numbered
  int64_t first = 0;
  EncodedBatch* whole = nullptr;
};
// Asks for the last logged number of a producer.
struct Ask {
  uint64_t id = 0;
  uint32_t stream = 0;
  std::string producer;
};
// Its records are borrowed no longer. What is on its way stays on its way; there is no Completed.
struct Cancel {
  uint64_t id = 0;
  uint32_t stream = 0;
};
// Seals all that is open: the executor is about to end.
struct SealAll {};

using Event = std::variant<Tick, Received, StoreRequest, Ask, Cancel, SealAll>;

// ---- commands -----------------------------------------------------------------------------

struct Completed {
  uint64_t id = 0;
  std::optional<int64_t> last;  // nothing: not stored, to be sent again
};
struct Answered {
  uint64_t id = 0;
  int64_t last = 0;
  std::string refused;  // why this new producer is not taken; empty: it is
};
struct RoomFreed {};  // Store may work again, or another rate holds
struct Say {
  std::string line;
};

using Command = std::variant<Send, Completed, Answered, RoomFreed, Say>;
using Commands = std::vector<Command>;

}  // namespace receiver

class ReceiverCore {
 public:
  struct Stream {
    uint32_t id = 0;
    uint64_t incarnation = 0;
  };
  struct Options {
    uint64_t job_instance = 0;
    std::vector<Stream> streams;
    std::string daemon;                  // address of the worker daemon
    int64_t block_interval_us = 200'000;
    double max_rate = 0;      // records/s of each stream; 0: no bound
    double initial_rate = 0;  // until the job driver has told one; 0: no bound
  };
  // `pool` outlives the core.
  ReceiverCore(Options options, BufferPool* pool);

  // kTooLarge: the record is dropped, and counts as taken, so that it is found to be lost.
  enum class Stored { kYes, kNoRoom, kTooLarge };
  // One record of an unreliable source. The fast path beside Step.
  Stored Store(MonotonicTime now, uint32_t stream, std::string_view record,
               receiver::Commands& out);
  // Records [from, …) of an unreliable source, as many as fit into one block, sealed at once as a
  // block of their own. Says in `from` how far it came.
  Stored StoreBlock(MonotonicTime now, uint32_t stream, const BatchView& records, uint32_t& from,
                    receiver::Commands& out);
  receiver::Commands Step(MonotonicTime now, const receiver::Event& event);
  // When the stream's next records may be given to Store and StoreBlock; at or below `now`: at
  // once. Those of StoreRequest wait by themselves.
  MonotonicTime NextStoreUs(MonotonicTime now, uint32_t stream);
  bool paced() const { return paced_; }  // a stream may have a rate

  // Everything that was stored has been handed to the daemon, and reliable stores have completed.
  bool idle() const;
  // How many records Store and StoreBlock have taken of each stream; streams of which they took
  // none are left out.
  std::vector<proto::ReceiverTaken> taken() const;
  // The daemon has taken all that was sealed.
  bool sealed() const { return sealed_.empty(); }

 private:
  static constexpr size_t kProducersIdle = 1000;
  struct Producer {
    bool known = false;      // `logged` came from the job driver
    int64_t logged = 0;
    int64_t sealed = 0;      // highest in a block on its way; at least `logged`
    MonotonicTime asked = 0;
    std::vector<uint64_t> askers;
  };
  struct Request {
    receiver::StoreRequest store;
    uint32_t taken = 0;      // records that are in blocks, logged or on their way
    uint32_t logged = 0;     // of those, in logged blocks; unnumbered requests only
    int refused = 0;
    bool adopted = false;    // its batch became a block: the records are not here any more
    int64_t last() const { return store.first + store.records.count - 1; }
  };
  // The reliable block of a stream that waits for its verdict.
  struct OnItsWay {
    proto::BlockInfo block;
    bool refused_before = false;
  };
  struct StreamState {
    uint64_t incarnation = 0;
    uint64_t last_number = 0;
    Pace pace;
    uint64_t taken = 0;                    // records of an unreliable source
    std::unique_ptr<OpenBuffer> open;      // of an unreliable source
    MonotonicTime opened_at = 0;
    std::deque<Request> requests;
    std::optional<OnItsWay> on_its_way;
    MonotonicTime retry_at = 0;
    std::map<std::string, Producer> producers;
    size_t producers_full = kProducersIdle;  // so many there are before the idle ones are forgotten
  };
  // Sealed and not yet taken by the daemon.
  struct Sealed {
    proto::SealSlices::Slice slice;
    MonotonicTime sent = 0;
  };

  void On(MonotonicTime now, const receiver::Tick&, receiver::Commands& out);
  void On(MonotonicTime now, const receiver::Received& event, receiver::Commands& out);
  void On(MonotonicTime now, const receiver::StoreRequest& event, receiver::Commands& out);
  void On(MonotonicTime now, const receiver::Ask& event, receiver::Commands& out);
  void On(MonotonicTime now, const receiver::Cancel& event, receiver::Commands& out);
  void On(MonotonicTime now, const receiver::SealAll&, receiver::Commands& out);
  void OnSealedSlices(MonotonicTime now, const proto::SealedSlices& message,
                      receiver::Commands& out);
  void OnRates(MonotonicTime now, const proto::ReceiverRates& rates, receiver::Commands& out);
  void OnVerdict(MonotonicTime now, const proto::BlockVerdict& verdict, receiver::Commands& out);
  void OnAnswer(MonotonicTime now, const proto::ProducerAnswer& answer, receiver::Commands& out);

  void SealOpen(MonotonicTime now, uint32_t id, StreamState& stream, receiver::Commands& out);
  void SealBuffer(MonotonicTime now, uint32_t id, StreamState& stream, OpenBuffer& buffer,
                  proto::BlockInfo block, receiver::Commands& out);
  // Gathers what waits into one block, if none is on its way.
  void SealReliable(MonotonicTime now, uint32_t id, StreamState& stream, receiver::Commands& out);
  // Puts as much of a request into the buffer as fits. False: the buffer is full.
  bool Gather(Request& request, Producer* producer, OpenBuffer& buffer, proto::BlockInfo& block);
  void CompleteLogged(StreamState& stream, receiver::Commands& out);
  static Producer& ProducerOf(StreamState& stream, const std::string& name);
  void Query(MonotonicTime now, uint32_t id, const StreamState& stream, const std::string& name,
             Producer& producer, receiver::Commands& out);

  const Options options_;
  BufferPool* const pool_;
  std::map<uint32_t, StreamState> streams_;
  bool paced_ = false;
  std::map<uint64_t, Sealed> sealed_;  // by arena offset
};

}  // namespace sluice
