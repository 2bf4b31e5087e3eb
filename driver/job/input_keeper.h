// Keeps the input of a batch that is to be skipped: reads its blocks from the daemons that hold
// them, has each written to the checkpoint store as an object, and then a list of them and of all
// else that the batch is made of. Only then may the batch be skipped.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "driver/job/commands.h"
#include "driver/job/job_state.h"
#include "driver/job/membership.h"

namespace sluice {

// One batch at a time, one block of it in memory, one message or object under way. Names and bytes
// depend on the batch alone, so a relaunched driver does it again over what is there already.
// Not thread-safe.
class InputKeeper {
 public:
  using HolderLookup = std::function<std::vector<std::string>(const BlockId&)>;  // worker ids
  // `durable`: what of `state` is in the log. Both outlive this.
  InputKeeper(const JobState* state, const JobState* durable, const Membership* members,
              HolderLookup holders)
      : state_(state), durable_(durable), members_(members), holders_(std::move(holders)) {}

  // The batch is planned and not skipped. Nothing is kept before its plan is in the log: that of
  // a driver whose successor plans the same batch otherwise never will be.
  void Begin(int64_t batch_ms, std::string reason);
  bool busy() const { return batch_ms_ != 0; }
  // Sends what is due, repeats what got no answer. The entry to log once all is in the store.
  std::optional<proto::Skipped> Advance(MonotonicTime now, std::vector<DriverCommand>& out);
  // The worker that cannot give the block in turn, when it has said so twice.
  std::optional<std::pair<std::string, BlockId>> OnFetched(MonotonicTime now,
                                                           const proto::FetchedBlock& fetched);
  void OnKept(MonotonicTime now, const KeptAside& kept, std::vector<DriverCommand>& out);

 private:
  void Ask(MonotonicTime now, const proto::BlockInfo& block, std::vector<DriverCommand>& out);
  bool Lost(const proto::BlockInfo& block) const;
  std::string Prefix() const;
  std::string ObjectOf(const proto::BlockInfo& block) const;
  std::string List() const;
  void Next();

  const JobState* state_;
  const JobState* durable_;
  const Membership* members_;
  const HolderLookup holders_;
  int64_t batch_ms_ = 0;  // 0: none
  std::string reason_;
  std::vector<proto::BlockInfo> blocks_;
  size_t next_ = 0;            // block in turn; behind the last one the list is
  std::string bytes_;          // of it, as far as they are here
  uint64_t request_ = 0;       // number of the last question
  size_t asked_holder_ = 0;    // turns through them
  std::string asked_worker_;
  std::map<std::string, int> refusals_;  // of the block in turn, by worker
  MonotonicTime asked_ = 0;    // 0: nothing is under way
  MonotonicTime not_before_ = 0;
  MonotonicTime backoff_ = 0;  // of the store
  bool writing_ = false;
  bool listed_ = false;
};

}  // namespace sluice
