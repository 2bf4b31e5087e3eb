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
#include "driver/api/framing.h"
#include "driver/api/kernels.h"
#include "driver/api/listener.h"
#include "driver/api/map.h"
#include "driver/api/options.h"
#include "driver/api/queue.h"
#include "driver/api/receiver.h"
#include "driver/api/whole_files.h"
#include "driver/api/static_dataset.h"
#include "driver/api/transform.h"

namespace sluice {

class StreamingContext;
namespace internal {
class ListenerBus;
}  // namespace internal
using BuildFunction = void (*)(StreamingContext&);

struct JobOptions {
  std::string name;
  std::chrono::milliseconds batch_interval{1000};
  // A URL; empty: none. With RunJob that of the command line wins, and a job that is submitted must
  // have it there.
  std::string checkpoint{};
  std::vector<std::pair<std::string, std::string>> conf{};  // set by the program
  Args args{};
  ~JobOptions();
};

struct StopOptions {
  bool drain = true;  // finish what has been received
};

// What runs a built job. Installed by the library that knows the runtime.
class JobRunner {
 public:
  virtual ~JobRunner() = default;
  virtual Outcome Start(StreamingContext& context) = 0;
  // How the job ended, once Start was ok; nothing when `timeout` came first.
  virtual std::optional<Outcome> Await(std::optional<std::chrono::milliseconds> timeout) = 0;
  virtual Outcome Stop(StopOptions options) = 0;
  // Stop waits for nothing: it may be called wherever the program's functions run.
  virtual bool StopOnlyAsks() const { return false; }
};
using JobRunnerFactory = std::unique_ptr<JobRunner> (*)();
void InstallJobRunner(JobRunnerFactory factory);

// Values that only the job driver knows, by name and encoded; they travel in log and plan.
using ConstantValues = std::vector<std::pair<std::string, std::string>>;

// kStopped: Stop was called, the job has ended, or it could not be started.
enum class ContextState { kInitialized, kActive, kStopped };

// Not thread-safe, except state, listeners, Stop and the Await functions. A handle: what GetActive
// gives is the same context, and the job ends with its last handle.
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
  // The context of this process that was started and has not stopped; there is one at most. The
  // context that RunJob makes is not given out.
  static std::optional<StreamingContext> GetActive();
  static StreamingContext GetActiveOrCreate(JobOptions options, BuildFunction build);

  // ---- sources ------------------------------------------------------------------------------

  // Lines of a TCP server, connected to again and again. A line has no end-of-line characters.
  DStream<std::string> SocketTextStream(std::string host, int port);
  // Records that `framing` finds in the bytes of a TCP server; what it looks like is in framing.h.
  template <Record T, class F>
    requires FramingFunction<F, T>
  DStream<T> SocketStream(std::string host, int port, F framing) {
    return Socket<T>("SocketStream", std::move(host), port, [framing = std::move(framing)] {
      return std::make_unique<internal::UserFramer<T, F>>(framing);
    });
  }
  // Batches of records that a TCP server has encoded as blocks are (docs/formats.md), each behind
  // its length in 4 bytes, most significant first. They are checked as a whole and stored as they
  // are; after a frame that is none the connection is opened anew.
  template <Record T>
  DStream<T> RawSocketStream(std::string host, int port) {
    return Socket<T>("RawSocketStream", std::move(host), port,
                     internal::RawFramers(kFixedSize<T>));
  }
  // Files of a directory, each file once, when it is there as a whole. One that changes later is
  // not read again; a counter and one warning say so.
  // Their lines:
  DStream<std::string> TextFileStream(const std::string& directory, FileOptions options = {});
  // The elements of the range parse(path, contents), both std::string_view; a file is read by one
  // task, and has 2 GiB at most.
  template <class F>
    requires std::invocable<const F&, std::string_view, std::string_view>
  auto FileStream(const std::string& directory, F parse, FileOptions options = {}) {
    return internal::StreamAccess::Stream<internal::WholeFile>(AddWholeFiles(directory, options))
        .FlatMap(internal::ParseWholeFile<F>{std::move(parse)});
  }
  // Records of `length` bytes. A file of another length fails its batch, which names it.
  DStream<std::string> BinaryRecordsStream(const std::string& directory, uint32_t length,
                                           FileOptions options = {});
  // What SaveAsObjectFiles wrote into the directory, batch by batch as they appear, or files of
  // such batches.
  template <Record T>
  DStream<T> ObjectFileStream(const std::string& directory, FileOptions options = {}) {
    return internal::StreamAccess::Stream<T>(AddObjectFiles(RecordName<T>(), directory, options));
  }
  // The same dataset at every batch. Every process has it from the build function.
  template <Record T>
  DStream<T> ConstantStream(const std::vector<T>& records) {
    RecordBatch batch(kFixedSize<T>);
    for (const T& record : records) {
      EncodeRecord<T>(record, batch.bytes());
      batch.EndRecord();
    }
    return internal::StreamAccess::Stream<T>(AddConstant(RecordName<T>(), batch));
  }
  // Records that clients push under this name, each producer's exactly once.
  DStream<std::string> PushStream(std::string name);

  // Records of a receiver of one's own; its copies run in receiver executors.
  template <class R>
    requires std::derived_from<R, Receiver<typename R::RecordType>>
  DStream<typename R::RecordType> ReceiverStream(R receiver) {
    using T = typename R::RecordType;
    return internal::StreamAccess::Stream<T>(AddReceiver(
        "receiver", "ReceiverStream", RecordName<T>(),
        internal::MakeFactory<ReceiverFactory>([receiver = std::move(receiver)] {
          return std::unique_ptr<ReceiverBody>(new internal::UserReceiverBody<R>(receiver));
        })));
  }

  // One entry of the queue per batch; an empty dataset when there is none. A job with a checkpoint,
  // or on a cluster, refuses it unless it is marked test_only.
  template <Record T>
  DStream<T> QueueStream(RecordQueue<T> queue) {
    return internal::StreamAccess::Stream<T>(AddQueue(RecordName<T>(), queue.source()));
  }
  template <Record T>
  DStream<T> QueueStream(const std::vector<std::vector<T>>& batches, QueueOptions options = {}) {
    RecordQueue<T> queue(options);
    for (const std::vector<T>& batch : batches) queue.Push(batch);
    return QueueStream(queue);
  }
  template <Record T>
  DStream<T> QueueStream(std::initializer_list<std::vector<T>> batches, QueueOptions options = {}) {
    return QueueStream(std::vector<std::vector<T>>(batches), options);
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

  // f(streams, BatchTime), as DStream::Transform, over streams of the same slide; f takes them as
  // a const std::vector<DStream<T>>&.
  template <Record T, class F>
  auto Transform(std::initializer_list<DStream<T>> streams, F f) {
    return Transform(std::vector(streams), std::move(f));
  }
  template <Record T, class F>
  auto Transform(const std::vector<DStream<T>>& streams, F f) {
    for (const DStream<T>& stream : streams) {
      if (internal::StreamAccess::place(stream).slide_batches() !=
          internal::StreamAccess::place(streams.front()).slide_batches()) {
        graph_->Fail(3, "Transform needs streams of the same slide");
      }
    }
    if (!streams.empty()) return internal::CallTransform(f, streams);
    graph_->Fail(3, "Transform needs at least one stream");
    return internal::CallTransform(f, std::vector{ConstantStream(std::vector<T>())});
  }

  // ---- what the build function may ask ------------------------------------------------------

  Args& args();
  std::chrono::milliseconds batch_interval() const;
  // A setting by the program; the command line, environment and configuration file win over it.
  // Not of the batch interval, which JobOptions has.
  void Set(std::string key, std::string value);

  // How long Slice keeps the datasets of its stream at least, each time counted from the batch at
  // hand. Once per context.
  void Remember(std::chrono::milliseconds duration) { graph_->Remember(duration); }

  // f(), called in the job driver only; every process sees its value. A job driver that takes up
  // a job calls it as well, but goes on with the value that the first one logged, unless the job
  // was drained before.
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
    auto encoded = [f = std::move(f)](int64_t batch_ms) mutable {
      std::string bytes;
      EncodeRecord<T>(f(batch_ms), bytes);
      return bytes;
    };
    return BatchValue<T>(
        graph_->AddBatchValue(std::move(name), RecordName<T>(), std::move(encoded)));
  }

  // A dataset to join streams with. version(batch time in ms) is called in the job driver when it
  // plans a batch and says which version the batch sees: a file's name, a day, a number as text.
  // load(version) is called in each process that needs it, once and again after a while, and gives
  // the pairs (key, value): the same for one version, always.
  template <KeyRecord K, Record V, class Version, class Load>
    requires std::is_invocable_r_v<std::string, Version&, int64_t> &&
             std::is_invocable_r_v<std::vector<std::pair<K, V>>, const Load&, const std::string&>
  auto StaticDataset(std::string name, Version version, Load load) {
    return sluice::StaticDataset<K, V>(
        PerBatch(std::move(name),
                 [version = std::move(version)](int64_t batch_ms) mutable {
                   return std::string(version(batch_ms));
                 }),
        internal::MakeStaticTables(internal::TableLoader<K, V>(std::move(load))));
  }

  // ---- life ---------------------------------------------------------------------------------

  // Hears of batches, output operations and receivers, in the job driver only.
  void AddListener(std::shared_ptr<StreamingListener> listener);
  void RemoveListener(const std::shared_ptr<StreamingListener>& listener);

  ContextState state() const;
  // Starts the job; an error when the program or its flags are wrong, when it was started or
  // stopped before, or while another context of this process is active. The graph is fixed then:
  // what is declared later is not added, and Check says so.
  Outcome Start();
  // Blocks until the job has ended, and says how; an error of the job is the outcome, and so is (3)
  // that it has not been started.
  Outcome AwaitTermination();
  // Nothing: the time was over first. Without a timeout it waits as long as it takes.
  std::optional<Outcome> AwaitTerminationOrTimeout(
      std::optional<std::chrono::milliseconds> timeout);
  // Ends the job and gives its outcome; without effect once it has ended. A context that was never
  // started cannot be started afterwards. Stop and AwaitTermination are errors in listeners and in
  // functions that the job itself runs, where they would wait for themselves.
  // Of a context that RunJob made, Stop waits for nothing and may be called anywhere: it asks for
  // a drain, as SIGTERM does, or without `drain` for an end at once, and RunJob returns when that
  // is over. That holds in the process that drives the job; in one that only runs tasks or
  // receivers Stop ends nothing.
  Outcome Stop(StopOptions options = {});

  // ---- for what runs the job ----------------------------------------------------------------

  // What the program or its command line got wrong. `complete` false: required flags may lack, and
  // where one does, what depends on it may be wrong.
  Outcome Check(bool complete = true) const;
  // As Start does: nothing is declared or set from here on, and Check says what tried to be.
  void Freeze() { graph_->Freeze(); }
  // Starts the job, which was checked, with this runner; other contexts may be active. Once that
  // was ok, Stop and the Await functions go to it.
  Outcome StartBy(std::unique_ptr<JobRunner> runner);
  const LineageGraph& graph() const { return graph_->graph(); }
  const JobOptions& options() const;
  const ConstantValues& constants() const;
  BuildFunction build_function() const;
  internal::ListenerBus* listeners() const;

 private:
  struct State;

  template <class T, class Streams>
  DStream<T> UnionOf(const Streams& streams) {
    internal::NarrowNode node(graph_, "Union");
    for (const DStream<T>& stream : streams) {
      node.Read(internal::StreamAccess::place(stream), internal::RecordsOf(stream));
    }
    return internal::StreamAccess::Stream<T>(node.Add(RecordName<T>()));
  }

  template <class T>
  DStream<T> Socket(std::string label, std::string host, int port,
                    internal::FramerFactory framers) {
    return internal::StreamAccess::Stream<T>(AddSocket(
        std::move(label), RecordName<T>(), std::move(host), port, std::move(framers)));
  }

  StreamingContext(std::shared_ptr<internal::GraphBuilder> graph, std::shared_ptr<State> state);
  static std::weak_ptr<State>& ActiveState();
  JobRunner* Runner() const;  // null before Start
  Outcome CheckGraph() const;
  internal::StreamPlace AddSocket(std::string label, std::string record_type, std::string host,
                                  int port, internal::FramerFactory framers);
  internal::StreamPlace AddFiles(std::string label, std::string record_type,
                                 const std::string& directory, FileFormat format,
                                 uint32_t record_length, const FileOptions& options);
  internal::StreamPlace AddWholeFiles(const std::string& directory, const FileOptions& options);
  internal::StreamPlace AddObjectFiles(std::string record_type, const std::string& directory,
                                       const FileOptions& options);
  internal::StreamPlace AddConstant(std::string record_type, const RecordBatch& records);
  internal::StreamPlace AddSource(std::string label, std::string record_type, SourceSpec source);
  internal::StreamPlace AddReceiver(std::string_view stream, std::string label,
                                    std::string record_type,
                                    std::shared_ptr<const ReceiverFactory> receiver);
  internal::StreamPlace AddQueue(std::string record_type, std::shared_ptr<QueueSource> queue);
  const std::string* FindConstant(const std::string& name);
  const std::string* KeepConstant(const std::string& name, std::string bytes);
  void BadConstant(const std::string& name);

  std::shared_ptr<internal::GraphBuilder> graph_;
  std::shared_ptr<State> state_;
};

}  // namespace sluice
