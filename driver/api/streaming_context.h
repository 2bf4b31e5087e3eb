// StreamingContext: where a program declares its sources, and where an embedding program starts and
// stops the job.
//
//   void BuildJob(sluice::StreamingContext& ssc) { ...streams... }
//   int main(int argc, char** argv) {
//     return sluice::RunJob(argc, argv, {.name = "wordcount", .batch_interval = 1s}, BuildJob);
//   }
//
// The build function runs in every process of the job and must declare the same graph each time:
// it captures nothing, and what differs from process to process goes through Constant.
#pragma once

#include <chrono>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "driver/api/args.h"
#include "driver/api/batch_value.h"
#include "driver/api/dstream.h"
#include "driver/api/map.h"
#include "driver/api/options.h"
#include "driver/api/queue.h"
#include "driver/api/receiver.h"
#include "driver/api/transform.h"

namespace sluice {

class StreamingContext;
using BuildFunction = void (*)(StreamingContext&);

struct JobOptions {
  std::string name;
  std::chrono::milliseconds batch_interval{1000};
  std::string checkpoint{};                                 // a URL; empty: none
  std::vector<std::pair<std::string, std::string>> conf{};  // set by the program
  Args args{};
};

struct StopOptions {
  bool drain = true;  // finish what has been received
};

// What runs a built job. Installed by the library that knows the runtime.
class JobRunner {
 public:
  virtual ~JobRunner() = default;
  virtual Outcome Start(StreamingContext& context) = 0;
  // How the job ended; nothing when `timeout` came first.
  virtual std::optional<Outcome> Await(std::optional<std::chrono::milliseconds> timeout) = 0;
  virtual Outcome Stop(StopOptions options) = 0;
};
using JobRunnerFactory = std::unique_ptr<JobRunner> (*)();
void InstallJobRunner(JobRunnerFactory factory);

// Values that only the job driver knows, by name and encoded; they travel in log and plan.
using ConstantValues = std::vector<std::pair<std::string, std::string>>;

// Not thread-safe, except Stop and the Await functions. Movable.
class StreamingContext {
 public:
  // With `constants`, Constant answers from them and never calls its function.
  explicit StreamingContext(JobOptions options,
                            std::optional<ConstantValues> constants = std::nullopt);
  StreamingContext(StreamingContext&&) noexcept;
  StreamingContext& operator=(StreamingContext&&) noexcept;
  ~StreamingContext();

  // A context on which `build` has run. Where the options name a checkpoint that exists, Start
  // resumes from it.
  static StreamingContext GetOrCreate(JobOptions options, BuildFunction build);

  // ---- sources ------------------------------------------------------------------------------

  // Lines of a TCP server, connected to again and again. A line has no end-of-line characters.
  DStream<std::string> SocketTextStream(std::string host, int port);
  // Lines of the files in a directory, each file once, when it is there as a whole.
  DStream<std::string> TextFileStream(std::string directory, FileOptions options = {});
  // Records that clients push under this name, each producer's exactly once.
  DStream<std::string> PushStream(std::string name);

  // Records of a receiver of one's own; its copies run in receiver executors.
  template <class R>
    requires std::derived_from<R, Receiver<typename R::RecordType>>
  DStream<typename R::RecordType> ReceiverStream(R receiver) {
    using T = typename R::RecordType;
    return internal::StreamAccess::Stream<T>(
        graph_, AddReceiver("receiver", "ReceiverStream", RecordName<T>(),
                            std::make_shared<internal::UserReceiverFactory<R>>(
                                std::move(receiver))));
  }

  // One entry of the queue per batch; an empty dataset when there is none. A job with a checkpoint
  // refuses it unless it is marked test_only.
  template <Record T>
  DStream<T> QueueStream(RecordQueue<T> queue) {
    return internal::StreamAccess::Stream<T>(graph_, AddQueue(RecordName<T>(), queue.source()));
  }
  template <Record T>
  DStream<T> QueueStream(const std::vector<std::vector<T>>& batches, QueueOptions options = {}) {
    RecordQueue<T> queue(options);
    for (const std::vector<T>& batch : batches) queue.Push(batch);
    return QueueStream(queue);
  }

  // The partitions of all streams in order. They must have the same slide.
  template <Record T>
  DStream<T> Union(std::initializer_list<DStream<T>> streams) {
    return UnionOf<T>(streams);
  }
  template <Record T>
  DStream<T> Union(const std::vector<DStream<T>>& streams) {
    return UnionOf<T>(streams);
  }

  // f(streams, BatchTime), as DStream::Transform, over streams of the same slide.
  template <Record T, class F>
  auto Transform(const std::vector<DStream<T>>& streams, F f) {
    for (const DStream<T>& stream : streams) {
      if (graph_->slide_of(internal::StreamAccess::parent(stream)) !=
          graph_->slide_of(internal::StreamAccess::parent(streams.front()))) {
        graph_->Fail(3, "Transform needs streams of the same slide");
      }
    }
    if (streams.empty()) graph_->Fail(3, "Transform needs at least one stream");
    return internal::CallTransform(f, streams);
  }

  // ---- what the build function may ask ------------------------------------------------------

  Args& args();
  std::chrono::milliseconds batch_interval() const;
  // A setting by the program; the command line, environment and configuration file win over it.
  void Set(std::string key, std::string value);

  // f(), called once, in the job driver only; every process sees its value.
  template <class F>
    requires Record<Own<std::invoke_result_t<F>>>
  auto Constant(std::string name, F f) {
    using T = Own<std::invoke_result_t<F>>;
    const std::string* known = FindConstant(name);
    if (known == nullptr) {
      std::string bytes;
      EncodeRecord<T>(f(), bytes);
      known = KeepConstant(name, std::move(bytes));
    }
    View<T> view{};
    T value{};
    if (DecodeRecord<T>(*known, view)) internal::AssignOwned(value, view);
    else BadConstant(name);
    return value;
  }

  // f(batch time in ms), called in the job driver when it plans a batch; tasks and output
  // operations see what it gave. If f throws the job fails.
  template <class F>
    requires Record<Own<std::invoke_result_t<F, int64_t>>>
  auto PerBatch(std::string name, F f) {
    using T = Own<std::invoke_result_t<F, int64_t>>;
    return BatchValue<T>(
        graph_->AddBatchValue({std::move(name), RecordName<T>(), [f](int64_t batch_ms) {
                                 std::string bytes;
                                 EncodeRecord<T>(f(batch_ms), bytes);
                                 return bytes;
                               }}));
  }

  // ---- life ---------------------------------------------------------------------------------

  // Starts the job; an error when the program or its flags are wrong. The graph is fixed then.
  Outcome Start();
  // Blocks until the job has ended, and says how; an error of the job is the outcome.
  Outcome AwaitTermination();
  std::optional<Outcome> AwaitTerminationOrTimeout(std::chrono::milliseconds timeout);
  Outcome Stop(StopOptions options = {});

  // ---- for what runs the job ----------------------------------------------------------------

  // What the program or its command line got wrong. `complete` false: required flags may lack.
  Outcome Check(bool complete = true) const;
  const LineageGraph& graph() const { return graph_->graph(); }
  const JobOptions& options() const;
  const ConstantValues& constants() const;
  BuildFunction build_function() const;

 private:
  struct State;

  template <class T, class Streams>
  DStream<T> UnionOf(const Streams& streams) {
    std::vector<NodeInput> inputs;
    const DStream<T>* first = nullptr;
    for (const DStream<T>& stream : streams) {
      if (first == nullptr) first = &stream;
      inputs.push_back(internal::Maps<T, Stored<T>>::NarrowInput(stream));
    }
    if (first == nullptr) {
      graph_->Fail(3, "Union needs at least one stream");
      return QueueStream<T>(RecordQueue<T>());
    }
    return internal::Maps<T, Stored<T>>::AddNarrow("Union", *first, std::move(inputs));
  }

  NodeId AddSource(std::string label, std::string record_type, SourceSpec source);
  NodeId AddReceiver(std::string_view stream, std::string label, std::string record_type,
                     std::shared_ptr<const ReceiverFactory> receiver);
  NodeId AddQueue(std::string record_type, std::shared_ptr<QueueSource> queue);
  const std::string* FindConstant(const std::string& name);
  const std::string* KeepConstant(const std::string& name, std::string bytes);
  void BadConstant(const std::string& name);

  std::shared_ptr<internal::GraphBuilder> graph_;
  std::unique_ptr<State> state_;
};

}  // namespace sluice
