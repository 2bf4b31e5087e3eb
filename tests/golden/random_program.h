// A small program of random operators over pairs, from a seed, and the same program in the model.
// The first n operators of a seed are the same whatever follows, so that a failing program is cut
// down by asking for fewer.
#pragma once

#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "driver/api/api.h"
#include "tests/golden/model.h"
#include "tests/golden/random_functions.h"

namespace sluice::golden {

// A stream and its number in the model.
struct RandomStream {
  DStream<Pair> pairs;
  size_t number = 0;
  int slide = 1;  // batches
  bool used = false;
};

// What was taken of a stream, which the model has to be told.
struct RandomSample {
  DStream<Pair> pairs;
  std::shared_ptr<model::Taken> taken;
};

// Not thread-safe. Declares its operators in `ssc`, and in `model`, over the sources.
class RandomProgram {
 public:
  RandomProgram(StreamingContext& ssc, model::Model& model, std::vector<RandomStream> sources,
                uint32_t seed, int operators);
  RandomProgram(const RandomProgram&) = delete;
  RandomProgram& operator=(const RandomProgram&) = delete;

  // The streams that nobody uses, and the last: to be made outputs.
  std::vector<RandomStream> outputs() const;
  const std::vector<RandomSample>& samples() const { return samples_; }
  // The program, one stream per line.
  const std::string& text() const { return text_; }

 private:
  uint32_t Below(uint32_t n) { return random_() % n; }
  size_t Pick();
  void AddOperator();
  void AddNarrow(size_t from, uint32_t kind);
  void AddOfBatch(size_t from, uint32_t kind);
  void AddStaticJoin(size_t from, bool outer);
  void AddWhole(size_t from, uint32_t kind);
  void AddDataset(size_t from, uint32_t kind);
  void AddSample(size_t from);
  void AddByKey(size_t from, uint32_t kind);
  void AddWindow(size_t from, uint32_t kind);
  void AddKeyWindow(size_t from, uint32_t kind);
  void AddSlice(size_t from, bool chosen);
  void AddState(size_t from, uint32_t kind);
  void AddMapWithState(size_t from);
  void AddUnion(size_t left, uint32_t kind);
  void AddJoin(size_t left, uint32_t kind);

  // A number of partitions as a shuffle is asked for it: 0 is the job's.
  uint32_t AnyPartitions() { return Below(4); }
  uint32_t Counted(uint32_t partitions) const {
    return partitions != 0 ? partitions : model_.partitions();
  }
  model::Place PlaceOf(uint32_t partitions) const { return {Counted(partitions)}; }
  // Where a shuffle by key sends its records, now and then by a partitioner of the user's.
  struct Placing {
    ShuffleOptions options;
    model::Place place;
    std::string text;
  };
  Placing AnyPlacing();
  struct Sliding {
    WindowOptions options;
    model::WindowShape shape;
    std::string text;
  };
  Sliding AnyWindow(size_t from);
  // Of a stream whose dataset has its keys in no promised order.
  template <class Made>
  void AddInOrder(size_t from, const std::string& what, const Made& made, model::Step step,
                  int slide) {
    const size_t unordered = Modelled(from, std::move(step));
    AddModelled(from, what + ".InOrder", made.MapPartitions(InOrder),
                model_.Add({unordered}, model::PerPartition(InOrder)), slide);
  }
  std::string NewName(const char* what) const { return what + std::to_string(streams_.size()); }
  std::chrono::milliseconds Batches(int n) const { return n * ssc_.batch_interval(); }
  // A stream of the model alone, made of one of the program's.
  size_t Modelled(size_t from, model::Step step) {
    return model_.Add({streams_[from].number}, std::move(step));
  }
  void Add(size_t from, const std::string& what, DStream<Pair> made, model::Step step,
           int slide = 0) {
    AddModelled(from, what, std::move(made), Modelled(from, std::move(step)), slide);
  }
  void AddModelled(size_t from, const std::string& what, DStream<Pair> made, size_t number,
                   int slide = 0);  // 0: as `from`

  std::mt19937 random_;
  StreamingContext& ssc_;
  model::Model& model_;
  std::vector<RandomStream> streams_;
  std::vector<RandomSample> samples_;
  bool remembers_ = false;  // the context was told how long
  std::string text_;
};

}  // namespace sluice::golden
