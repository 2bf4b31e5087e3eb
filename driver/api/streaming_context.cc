#include "driver/api/streaming_context.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>

#include "common/plan/graph.h"
#include "driver/api/listener_bus.h"

namespace sluice {
namespace {

std::atomic<JobRunnerFactory> g_runner_factory{nullptr};

constexpr std::chrono::milliseconds kLeastInterval{5};
constexpr std::string_view kNameCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= 100 && name[0] != '.' &&
         name.find_first_not_of(kNameCharacters) == std::string_view::npos;
}

// Behind a symbolic link ".." does not lead back to where the path came from: it is left in.
std::string PlainPath(const std::filesystem::path& absolute) {
  const bool climbs = std::find(absolute.begin(), absolute.end(), "..") != absolute.end();
  return (climbs ? absolute : absolute.lexically_normal()).string();
}

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

void InstallJobRunner(JobRunnerFactory factory) { g_runner_factory = factory; }

JobOptions::~JobOptions() = default;

struct StreamingContext::State {
  // The runner's job goes on without anybody who waits for it.
  bool Ended() const { return runner != nullptr && runner->Await(kNoTime).has_value(); }
  ContextState Now() const {
    const std::lock_guard lock(mutex);
    if (stopped || Ended()) return ContextState::kStopped;
    return runner == nullptr ? ContextState::kInitialized : ContextState::kActive;
  }

  static constexpr std::chrono::milliseconds kNoTime{0};
  JobOptions options;
  ConstantValues constants;
  bool constants_given = false;
  BuildFunction build = nullptr;
  std::shared_ptr<internal::GraphBuilder> graph;
  std::atomic<bool> stop_only_asks = false;  // as the runner says
  internal::ListenerBus listeners;
  mutable std::mutex mutex;           // of what follows
  bool stopped = false;
  std::unique_ptr<JobRunner> runner;  // ends first: it uses the others
};

namespace {

// The one context of this process that may be active.
std::mutex g_active_mutex;

Outcome WithinTheJob(std::string_view call) {
  return {3, std::string(call) + " was called in a listener or in a function of the job itself, "
             "where it would wait for itself"};
}

bool IsWithinTheJob() { return internal::CallbackScope::Inside() || CurrentTask() != nullptr; }

}  // namespace

std::weak_ptr<StreamingContext::State>& StreamingContext::ActiveState() {
  static auto* active = new std::weak_ptr<State>();
  return *active;
}

StreamingContext::StreamingContext(JobOptions options, std::optional<ConstantValues> constants)
    : graph_(std::make_shared<internal::GraphBuilder>(
          std::max(options.batch_interval, kLeastInterval))),
      state_(std::make_shared<State>()) {
  state_->graph = graph_;
  if (options.batch_interval < kLeastInterval) {
    graph_->Fail(3, "batch_interval must be at least 5 ms");
  }
  state_->options = std::move(options);
  state_->constants_given = constants.has_value();
  if (constants.has_value()) state_->constants = *std::move(constants);
}
StreamingContext::StreamingContext(std::shared_ptr<internal::GraphBuilder> graph,
                                   std::shared_ptr<State> state)
    : graph_(std::move(graph)), state_(std::move(state)) {}
StreamingContext::StreamingContext(StreamingContext&&) noexcept = default;
StreamingContext& StreamingContext::operator=(StreamingContext&&) noexcept = default;
StreamingContext::~StreamingContext() = default;

StreamingContext StreamingContext::GetOrCreate(JobOptions options, BuildFunction build) {
  StreamingContext context(std::move(options));
  context.state_->build = build;
  build(context);
  return context;
}

std::optional<StreamingContext> StreamingContext::GetActive() {
  const std::lock_guard lock(g_active_mutex);
  std::shared_ptr<State> state = ActiveState().lock();
  if (state == nullptr || state->Now() != ContextState::kActive) return std::nullopt;
  return StreamingContext(state->graph, state);
}

StreamingContext StreamingContext::GetActiveOrCreate(JobOptions options, BuildFunction build) {
  std::optional<StreamingContext> active = GetActive();
  return active.has_value() ? *std::move(active) : GetOrCreate(std::move(options), build);
}

internal::StreamPlace StreamingContext::AddSource(std::string label, std::string record_type,
                                                  SourceSpec source) {
  for (const Node& node : graph().nodes()) {
    if (node.kind == NodeKind::kSource && node.source.stream == source.stream) {
      graph_->Fail(3, "two streams are named " + source.stream);
    }
  }
  Node node;
  node.kind = NodeKind::kSource;
  node.label = label + " " + source.stream;
  node.record_type = std::move(record_type);
  node.source = std::move(source);
  return internal::StreamPlace(graph_, graph_->AddNode(std::move(node)));
}

internal::StreamPlace StreamingContext::AddReceiver(
    std::string_view stream, std::string label, std::string record_type,
    std::shared_ptr<const ReceiverFactory> receiver) {
  SourceSpec source;
  source.kind = SourceKind::kReceiver;
  source.stream = graph_->Numbered(stream);
  source.receiver = std::move(receiver);
  return AddSource(std::move(label), std::move(record_type), std::move(source));
}

internal::StreamPlace StreamingContext::AddQueue(std::string record_type,
                                                 std::shared_ptr<QueueSource> queue) {
  SourceSpec source;
  source.kind = SourceKind::kQueue;
  source.stream = graph_->Numbered("queue");
  source.queue = std::move(queue);
  return AddSource("QueueStream", std::move(record_type), std::move(source));
}

internal::StreamPlace StreamingContext::AddConstant(std::string record_type,
                                                    const RecordBatch& records) {
  SourceSpec source;
  source.kind = SourceKind::kConstant;
  source.stream = graph_->Numbered("constant");
  std::string encoded;
  EncodeBatch(records.view(), encoded);
  source.constant = std::make_shared<const std::string>(std::move(encoded));
  source.constant_records = records.count();
  return AddSource("ConstantStream", std::move(record_type), std::move(source));
}

internal::StreamPlace StreamingContext::AddSocket(std::string label, std::string record_type,
                                                  std::string host, int port,
                                                  internal::FramerFactory framers) {
  if (port < 1 || port > 65535) {
    graph_->Fail(2, "a port must be between 1 and 65535; it is " + std::to_string(port));
  }
  return AddReceiver("socket", std::move(label), std::move(record_type),
                     internal::MakeSocketReceiver(std::move(host), port, std::move(framers)));
}

DStream<std::string> StreamingContext::SocketTextStream(std::string host, int port) {
  return Socket<std::string>("SocketTextStream", std::move(host), port, internal::LineFramers());
}

DStream<std::string> StreamingContext::TextFileStream(const std::string& directory,
                                                      FileOptions options) {
  return internal::StreamAccess::Stream<std::string>(
      AddFiles("TextFileStream", "text", directory, FileFormat::kLines, 0, options));
}

DStream<std::string> StreamingContext::BinaryRecordsStream(const std::string& directory,
                                                           uint32_t length, FileOptions options) {
  if (length == 0) graph_->Fail(3, "BinaryRecordsStream needs records of at least one byte");
  return internal::StreamAccess::Stream<std::string>(
      AddFiles("BinaryRecordsStream", "text", directory, FileFormat::kFixedLength,
                       std::max(length, 1u), options));
}

internal::StreamPlace StreamingContext::AddFiles(std::string label, std::string record_type,
                                                 const std::string& directory, FileFormat format,
                                                 uint32_t record_length,
                                                 const FileOptions& options) {
  SourceSpec source;
  source.file_format = format;
  source.record_length = record_length;
  source.kind = SourceKind::kFiles;
  source.stream = graph_->Numbered("files");
  std::error_code error;  // an empty path is none; that its flag is missing is said elsewhere
  const std::filesystem::path absolute = std::filesystem::absolute(directory, error);
  source.directory = error ? directory : PlainPath(absolute);
  source.existing_files = options.existing == Existing::kTake;
  return AddSource(std::move(label), std::move(record_type), std::move(source));
}

internal::StreamPlace StreamingContext::AddWholeFiles(const std::string& directory,
                                                      const FileOptions& options) {
  return AddFiles("FileStream", RecordName<internal::WholeFile>(), directory, FileFormat::kWhole,
                  0, options);
}

internal::StreamPlace StreamingContext::AddObjectFiles(std::string record_type,
                                                       const std::string& directory,
                                                       const FileOptions& options) {
  return AddFiles("ObjectFileStream", std::move(record_type), directory, FileFormat::kObjects, 0,
                  options);
}

DStream<std::string> StreamingContext::PushStream(std::string name) {
  if (!IsName(name)) {
    graph_->Fail(2, "a stream's name must be of 1 to 100 letters, digits, \".\", \"_\", \"-\" and "
                    "not start with \".\": \"" + name + "\"");
  }
  SourceSpec source;
  source.kind = SourceKind::kPush;
  source.stream = std::move(name);
  return internal::StreamAccess::Stream<std::string>(
      AddSource("PushStream", "text", std::move(source)));
}

Args& StreamingContext::args() { return state_->options.args; }
std::chrono::milliseconds StreamingContext::batch_interval() const {
  return state_->options.batch_interval;
}
void StreamingContext::Set(std::string key, std::string value) {
  if (state_->Now() != ContextState::kInitialized || graph_->frozen()) {
    return graph_->Fail(3, "settings are fixed once the job has started: " + key);
  }
  state_->options.conf.emplace_back(std::move(key), std::move(value));
}

const std::string* StreamingContext::FindConstant(const std::string& name) {
  if (!IsPrintable(name)) {
    graph_->Fail(2, "a constant's name must be of printable ASCII characters: \"" + name + "\"");
  }
  for (const auto& [known, bytes] : state_->constants) {
    if (known == name) return &bytes;
  }
  return nullptr;
}

const std::string* StreamingContext::KeepConstant(const std::string& name, std::string bytes) {
  if (state_->constants_given) {
    graph_->Fail(3, "the build function asks for a constant that it did not ask for in the job "
                    "driver: " + name);
  }
  state_->constants.emplace_back(name, std::move(bytes));
  return &state_->constants.back().second;
}

void StreamingContext::BadConstant(const std::string& name) {
  graph_->Fail(3, "the constant does not have the type that it had in the job driver: " + name);
}

Outcome StreamingContext::Check(bool complete) const {
  // The function of a constant that was given is not called, and may be what asks for a flag.
  const bool all_asked = !state_->constants_given || state_->constants.empty();
  const Outcome flags = state_->options.args.Check(complete, all_asked);
  if (!flags.ok()) return flags;
  // Where an answer lacks, that may be all that is wrong with the graph.
  if (!complete && !state_->options.args.Check(true, all_asked).ok()) return CheckGraph();
  if (!graph_->error().ok()) return graph_->error();
  for (const Output& output : graph().outputs()) {
    if (!complete || !WritesFiles(output.kind) || !output.prefix.empty()) continue;
    return {2, output.label + ": the prefix is empty; it must be an absolute path or "
                              "s3://bucket/prefix"};
  }
  if (graph_->lacks_remember()) {
    return {3, "a Slice between times that a function chooses needs StreamingContext::Remember"};
  }
  return CheckGraph();
}

Outcome StreamingContext::CheckGraph() const {
  std::string wrong = graph().Validate();
  if (!wrong.empty()) return {3, std::move(wrong)};
  return {};
}

void StreamingContext::AddListener(std::shared_ptr<StreamingListener> listener) {
  state_->listeners.Add(std::move(listener));
}
void StreamingContext::RemoveListener(const std::shared_ptr<StreamingListener>& listener) {
  state_->listeners.Remove(listener);
}

ContextState StreamingContext::state() const { return state_->Now(); }

Outcome StreamingContext::Start() {
  const std::lock_guard lock(g_active_mutex);
  if (state_->Now() == ContextState::kActive) return {3, "the job has been started already"};
  if (state_->Now() == ContextState::kStopped) {
    return {3, "a context that has stopped cannot be started again; make a new one"};
  }
  const std::shared_ptr<State> other = ActiveState().lock();
  if (other != nullptr && other->Now() == ContextState::kActive) {
    return {3, "another context of this process is active: " + other->options.name +
               "; stop it first"};
  }
  Outcome started = Check();
  const JobRunnerFactory factory = g_runner_factory;
  if (started.ok() && factory == nullptr) {
    started = {3, "this program is not linked with the Sluice runtime"};
  }
  graph_->Freeze();
  if (started.ok()) started = StartBy(factory());
  if (started.ok()) {
    ActiveState() = state_;
  } else {
    const std::lock_guard state_lock(state_->mutex);
    state_->stopped = true;
  }
  return started;
}

Outcome StreamingContext::StartBy(std::unique_ptr<JobRunner> runner) {
  graph_->Freeze();
  const Outcome started = runner->Start(*this);
  if (!started.ok()) return started;
  const std::lock_guard lock(state_->mutex);
  state_->stop_only_asks = runner->StopOnlyAsks();
  state_->runner = std::move(runner);
  return started;
}

JobRunner* StreamingContext::Runner() const {
  const std::lock_guard lock(state_->mutex);
  return state_->runner.get();
}

Outcome StreamingContext::AwaitTermination() {
  return AwaitTerminationOrTimeout(std::nullopt).value_or(Outcome());
}

std::optional<Outcome> StreamingContext::AwaitTerminationOrTimeout(
    std::optional<std::chrono::milliseconds> timeout) {
  if (IsWithinTheJob()) return WithinTheJob("AwaitTermination");
  const std::shared_ptr<State> state = state_;  // the context may go as soon as the job has ended
  JobRunner* const runner = Runner();
  if (runner == nullptr) return Outcome{3, "the job has not been started"};
  return runner->Await(timeout);
}

Outcome StreamingContext::Stop(StopOptions options) {
  if (!state_->stop_only_asks && IsWithinTheJob()) return WithinTheJob("Stop");
  const std::shared_ptr<State> state = state_;  // the context may go as soon as the job has ended
  JobRunner* const runner = Runner();
  const Outcome outcome = runner == nullptr ? Outcome() : runner->Stop(options);
  if (state->stop_only_asks) return outcome;
  state->graph->Freeze();
  const std::lock_guard lock(state->mutex);
  state->stopped = true;
  return outcome;
}

internal::ListenerBus* StreamingContext::listeners() const { return &state_->listeners; }
const JobOptions& StreamingContext::options() const { return state_->options; }
const ConstantValues& StreamingContext::constants() const { return state_->constants; }
BuildFunction StreamingContext::build_function() const { return state_->build; }

}  // namespace sluice
