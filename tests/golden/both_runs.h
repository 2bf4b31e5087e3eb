// One program run twice: by the engine in this process (the cores, an executor, log and state; the
// manual clock of the test kit) and by the reference interpreter.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/codec_text.h"
#include "common/plan/interpreter.h"
#include "sluice/testing.h"

namespace sluice::golden {

using Rows = std::vector<std::string>;  // records as text

// What one output gave at one batch.
struct Given {
  bool has_dataset = false;
  std::vector<Rows> parts;  // of Print and of outputs kept by Keep: one

  Rows All() const;
  bool operator==(const Given&) const = default;
};

// Not thread-safe. Sources (BothInput) and outputs are declared before the first batch. A program
// has one Print at most.
class BothRuns {
 public:
  // `checkpoint`: as in TestOptions. The interpreter always starts anew. `sealed`: a checkpoint
  // covers every batch, as after a drain.
  explicit BothRuns(uint32_t partitions, const std::string& checkpoint = "", bool sealed = false);

  TestContext& test() { return test_; }
  StreamingContext& ssc() { return test_.ssc(); }

  // Makes an output of the stream, and gives its id.
  template <Record T, class Chain>
  OutputId Keep(const DStream<T, Chain>& stream) {
    auto output = std::make_shared<TestOutput<T>>(test_, stream);
    const auto id = static_cast<OutputId>(ssc().graph().outputs().size() - 1);
    kept_[id].engine = [output] { return TextOf<T>(output->last()); };
    kept_[id].text = [](const std::string& encoded) {
      View<T> row{};
      std::string text;
      if (DecodeRecord<T>(encoded, row)) AppendText(row, text);
      return text;
    };
    return id;
  }

  // Runs the batch that is due `ticks` intervals later. Not ok: the engine's job has ended.
  Outcome RunBatchAfter(int ticks);
  // The times of the batches that this has run: where a window missed its slide there are several,
  // and the first has taken what was scripted.
  const std::set<int64_t>& batches_ms() const { return batches_ms_; }
  // The tasks of a source, of which the first reads what is scripted.
  uint32_t source_tasks() const { return tasks_; }
  // What the two gave at the newest batch, by output; of a ForeachBatch that Keep did not make,
  // nothing.
  std::vector<Given> OfEngine() const;
  const std::vector<Given>& OfInterpreter() const { return reference_; }

  // For BothInput: a source was declared; its next batch.
  size_t AddSource();
  void Give(size_t source, std::optional<std::string> batch) { sources_[source].next = batch; }

 private:
  struct Source {
    NodeId node = 0;
    std::optional<std::optional<std::string>> next;  // empty dataset; no dataset; a batch
  };
  struct Kept {
    std::function<std::optional<Rows>()> engine;
    std::function<std::string(const std::string& encoded)> text;
  };

  template <Record T>
  static std::optional<Rows> TextOf(const std::optional<std::vector<T>>& records) {
    if (!records.has_value()) return std::nullopt;
    Rows rows;
    for (const T& record : *records) AppendText(record, rows.emplace_back());
    return rows;
  }
  void NoteBatches();
  void RunInterpreter();
  void RunInterpreterAt(int64_t batch_ms);
  Given Told(const Output& output, const ReferenceInterpreter::OutputResult& result) const;
  Given Printed() const;
  Given Saved(const Output& output) const;

  const uint32_t partitions_;
  const uint32_t tasks_;
  TestContext test_;
  std::vector<Source> sources_;
  std::map<OutputId, Kept> kept_;
  // What the engine told an output of its own.
  struct Noted {
    std::mutex mutex;
    uint64_t job_instance = 0;
    std::set<int64_t> batches_ms;  // that were run since this was looked at last
  };
  std::shared_ptr<Noted> noted_;  // once it has run
  std::set<int64_t> batches_ms_;
  std::unique_ptr<ReferenceInterpreter> interpreter_;
  std::vector<Given> reference_;
};

// A scripted source of both runs.
template <Record T>
class BothInput {
 public:
  explicit BothInput(BothRuns& runs)
      : runs_(&runs), input_(runs.test()), source_(runs.AddSource()) {}

  DStream<T> stream() const { return input_.stream(); }
  // The next batch. Without a call it is an empty dataset.
  void Push(const std::vector<T>& records) {
    RecordBatch batch(kFixedSize<T>);
    for (const T& record : records) {
      EncodeRecord<T>(record, batch.bytes());
      batch.EndRecord();
    }
    std::string encoded;
    EncodeBatch(batch.view(), encoded);
    runs_->Give(source_, encoded);
    input_.Push(records);
  }
  void PushNoDataset() {
    runs_->Give(source_, std::nullopt);
    input_.PushNoDataset();
  }

 private:
  BothRuns* runs_;
  TestInput<T> input_;
  size_t source_;
};

}  // namespace sluice::golden
