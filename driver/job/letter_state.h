// What the driver log says of letters: how many there are, which were run again, and which of
// their records wait for a batch. Part of JobState.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "proto/log.pb.h"

namespace sluice {

// Not thread-safe. A letter that was taken once is never taken again.
class LetterState {
 public:
  void Restore(const proto::DriverState& kept);
  void Keep(proto::DriverState& kept) const;
  void Decided(const proto::Decided& decided) { count_ += decided.letters_size(); }
  void Replayed(const proto::LettersReplayed& replayed);
  // The batch has taken what waited for its sources, and the letters that it names.
  void Planned(const proto::Composition& composition);
  // Sources have other numbers in a changed program; records of those that it lacks wait no more.
  void Renumber(const std::map<uint32_t, uint32_t>& stages);

  uint64_t count() const { return count_; }
  uint64_t replayed() const { return replayed_.size(); }
  bool WasReplayed(const proto::Letter& letter) const {
    return replayed_.contains({letter.batch_ms(), letter.number()});
  }
  // To the last wish of which something was taken.
  const proto::LettersReplayed::Answer& answer() const { return answer_; }
  // In the order of the log.
  const std::vector<proto::LettersReplayed::Records>& waiting() const { return waiting_; }
  // Of what came over a shuffle, in the order of the log. One for whose operator there is no place
  // in the program, or none in the batches so far, goes on waiting.
  const std::vector<proto::Letter>& behind() const { return behind_; }
  uint64_t waiting_bytes() const;
  // Of what is run again: of a record, which is packed with others; else of all that goes with it,
  // no less than a plan has of it.
  static uint64_t BytesOf(const proto::Letter& letter);

 private:
  uint64_t count_ = 0;
  std::set<std::pair<int64_t, uint32_t>> replayed_;  // batch and number
  std::vector<proto::LettersReplayed::Records> waiting_;
  proto::LettersReplayed::Answer answer_;
  std::vector<proto::Letter> behind_;
};

}  // namespace sluice
