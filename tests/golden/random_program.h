// A small program of random operators over pairs, from a seed. The first n operators of a seed are
// the same whatever follows, so that a failing program is cut down by asking for fewer.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "tests/golden/both_runs.h"

namespace sluice::golden {

using Pair = std::pair<std::string, int64_t>;

// Not thread-safe. Declares its sources, operators and outputs in `runs`.
class RandomProgram {
 public:
  RandomProgram(BothRuns& runs, uint32_t seed, int operators);

  // Gives every source its next batch: records, an empty dataset, or no dataset.
  void PushBatch();
  // How many ticks to go on by; mostly one.
  int Ticks();
  // The program, one stream per line.
  const std::string& text() const { return text_; }

 private:
  struct Stream {
    DStream<Pair> pairs;
    int slide = 1;  // batches
    bool used = false;
  };

  uint32_t Below(uint32_t n) { return random_() % n; }
  size_t Pick();
  void AddOperator();
  void AddNarrow(size_t from, uint32_t kind);
  void AddWhole(size_t from, uint32_t kind);
  void AddDataset(size_t from, uint32_t kind);
  void AddByKey(size_t from, uint32_t kind);
  void AddWindow(size_t from, uint32_t kind);
  void AddState(size_t from, uint32_t kind);
  void AddMapWithState(size_t from);
  void AddUnion(size_t left);
  void AddJoin(size_t left, uint32_t kind);
  void Add(size_t from, const std::string& what, DStream<Pair> made, int slide = 0);

  std::mt19937 random_;
  BothRuns& runs_;
  std::vector<std::unique_ptr<BothInput<Pair>>> inputs_;
  std::vector<Stream> streams_;
  std::string text_;
};

}  // namespace sluice::golden
