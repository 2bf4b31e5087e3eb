// A model of the operators for random programs: what each gives, written down in the plainest form
// over vectors of pairs. Nothing of the engine's kernels and operators or of the reference
// interpreter is called, so that a mistake in an operator is not on both sides of a comparison.
// What the engine's other code decides is taken from it: the hash of keys, batch times, and which
// records a sample takes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::golden::model {

using Pair = std::pair<std::string, int64_t>;
using Rows = std::vector<Pair>;
using Values = std::vector<int64_t>;

// What one task gave: `task` of so many; narrow operators and unions keep these numbers.
struct Partition {
  uint32_t task = 0;
  uint32_t tasks = 1;
  Rows rows{};
};
using Partitions = std::vector<Partition>;
using Dataset = std::optional<Partitions>;  // nothing: no dataset

struct Time {
  int64_t ms = 0;
  int64_t tick = 0;  // 1 is the first batch's
};

// The dataset of a stream at a batch, from those of the streams that it is made of. Called at each
// batch, in order; what it holds between batches is its own.
using From = std::vector<const Dataset*>;
using Step = std::function<Dataset(Time now, const From& from)>;

// Streams by number, each made of earlier ones. Not thread-safe.
class Model {
 public:
  explicit Model(uint32_t partitions) : partitions_(partitions) {}

  uint32_t partitions() const { return partitions_; }  // of shuffles that do not say how many
  size_t Add(std::vector<size_t> from, Step step);
  // A source whose batch is read by the first of so many tasks.
  size_t AddSource(uint32_t tasks);
  // Its next batch; without a call an empty dataset.
  void Give(size_t source, std::optional<Rows> batch) { given_[source] = std::move(batch); }
  void RunBatch(Time now);
  // At the newest batch.
  const Dataset& of(size_t stream) const { return datasets_[stream]; }

 private:
  struct Stream {
    std::vector<size_t> from;
    Step step;
  };
  const uint32_t partitions_;
  std::vector<Stream> streams_;
  std::vector<Dataset> datasets_;
  std::map<size_t, std::optional<Rows>> given_;
};

// Where the records of a key go: by its hash, or as a function has it.
using PlaceFunction = uint64_t (*)(const std::string& key, uint32_t partitions);
struct Place {
  uint32_t partitions = 1;
  PlaceFunction function = nullptr;
};
uint32_t PlaceOf(const std::string& key, const Place& place);
// Of what a shuffle by key takes in, the rows of each partition: by task, then as they came.
std::vector<Rows> Shuffled(const Partitions& from, const Place& place);

// The values of each key, keys in the order of their first record.
using Groups = std::vector<std::pair<std::string, Values>>;
Groups Grouped(const Rows& rows);
Values* Find(Groups& groups, const std::string& key);

using Fold = std::function<int64_t(int64_t, int64_t)>;
using ValuesFunction = std::function<int64_t(const Values&)>;
using Rank = std::function<int64_t(const Pair&)>;

// ---- narrow -----------------------------------------------------------------------------------

Step PerRecord(std::function<Rows(const Pair&)> f);
Step PerRecordAt(std::function<Rows(int64_t batch_ms, const Pair&)> f);
Step PerPartition(std::function<Rows(const Rows&)> f);
Step Union();
// What was taken of each partition, by batch time: it must be some of what was there, in order.
using Taken = std::map<int64_t, std::vector<Rows>>;
Step Sample(std::shared_ptr<const Taken> taken);
// With the entries of a table by batch time: a value for each entry of the record's key; with
// `outer` also for a record without one.
using Match = std::function<int64_t(std::optional<int64_t>, std::optional<int64_t>)>;
Step JoinTable(std::function<Rows(int64_t batch_ms)> table, bool outer, Match f);

// ---- over the dataset -------------------------------------------------------------------------

Step Repartition(uint32_t n);
Step Count(const std::string& key);  // as the value of this key
Step Reduce(std::function<Pair(const Pair&, const Pair&)> f);
Step CountByValue(Place place, std::function<Pair(const Pair&, int64_t count)> f);
Step Distinct(Place place);
Step SortBy(Rank rank, bool descending, uint32_t partitions);
Step Top(size_t k, Rank rank);

// ---- by key -----------------------------------------------------------------------------------

Step ReduceByKey(Fold f, Place place);
Step GroupByKey(ValuesFunction f, Place place);
Step CoGroup(std::function<int64_t(const Values&, const Values&)> f, Place place);

struct Sides {  // which values without a match are kept
  bool left = false;
  bool right = false;
};
Step Join(Sides kept, Match f, Place place);

// ---- windows ----------------------------------------------------------------------------------

struct WindowShape {  // in ticks
  int64_t length = 1;
  int64_t slide = 1;
};
Step Window(WindowShape shape, uint32_t partitions);
// An operator over all records of the window, oldest batch first.
Step OverWindow(WindowShape shape, Step step);
// As Count, but an empty dataset before the first window that has a record.
Step CountByWindow(WindowShape shape, const std::string& key);
// A fold by key; a key that is not kept at a slide loses all that the window has of it.
using Filter = std::function<bool(const std::string& key, int64_t folded)>;
Step FilteredWindow(WindowShape shape, Fold f, Filter keeps, Place place);

// The datasets of the ticks from `from` to `to`, both included; an end between two times of the
// stream, of which there is one every `slide` ticks, is the one before it.
struct SliceEnds {
  int64_t from = 0;
  int64_t to = 0;
};
Step Slice(std::function<SliceEnds(Time now)> ends, int64_t slide, uint32_t partitions);

// ---- state ------------------------------------------------------------------------------------

// `slide`: of the stream, in ticks; the operators run at each, also without a dataset.
using Update = std::function<std::optional<int64_t>(int64_t batch_ms, const std::string& key,
                                                    const Values&, std::optional<int64_t>)>;
struct UpdateOptions {
  bool skip_idle = false;
  int64_t slide = 1;
  Rows initial{};  // of two entries of one key the later counts
};
Step UpdateStateByKey(Update f, UpdateOptions options, Place place);

// Gets a record's key, its value or none at a timeout, and the state, which it may change.
using Track = std::function<std::optional<Pair>(const std::string& key,
                                                std::optional<int64_t> value,
                                                std::optional<int64_t>& state)>;
struct TrackOptions {
  int64_t idle_ms = 0;  // 0: for ever
  int64_t slide = 1;
  Rows initial{};
};
struct TrackedKey {
  std::string key;
  std::optional<int64_t> state;
  int64_t touched_ms = 0;
};
using TrackedKeys = std::vector<std::vector<TrackedKey>>;  // by partition, as they got state
Step MapWithState(std::shared_ptr<TrackedKeys> held, Track f, TrackOptions options, Place place);
// To be added behind that one, over its stream.
Step StateSnapshots(std::shared_ptr<const TrackedKeys> held);

}  // namespace sluice::golden::model
