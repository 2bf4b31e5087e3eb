#include "driver/api/streaming_context.h"

#include <atomic>
#include <filesystem>

namespace sluice {
namespace {

std::atomic<JobRunnerFactory> g_runner_factory{nullptr};

constexpr std::string_view kNameCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= 100 && name[0] != '.' &&
         name.find_first_not_of(kNameCharacters) == std::string_view::npos;
}

}  // namespace

void InstallJobRunner(JobRunnerFactory factory) { g_runner_factory = factory; }

struct StreamingContext::State {
  JobOptions options;
  ConstantValues constants;
  bool constants_given = false;
  BuildFunction build = nullptr;
  std::unique_ptr<JobRunner> runner;
};

StreamingContext::StreamingContext(JobOptions options, std::optional<ConstantValues> constants)
    : graph_(std::make_shared<internal::GraphBuilder>(options.batch_interval)),
      state_(std::make_unique<State>()) {
  if (options.batch_interval < std::chrono::milliseconds(5)) {
    graph_->Fail(3, "batch_interval must be at least 5 ms");
  }
  state_->options = std::move(options);
  state_->constants_given = constants.has_value();
  if (constants.has_value()) state_->constants = *std::move(constants);
}
StreamingContext::StreamingContext(StreamingContext&&) noexcept = default;
StreamingContext& StreamingContext::operator=(StreamingContext&&) noexcept = default;
StreamingContext::~StreamingContext() = default;

StreamingContext StreamingContext::GetOrCreate(JobOptions options, BuildFunction build) {
  StreamingContext context(std::move(options));
  context.state_->build = build;
  build(context);
  return context;
}

NodeId StreamingContext::AddSource(std::string label, std::string record_type,
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
  return graph_->AddNode(std::move(node));
}

NodeId StreamingContext::AddReceiver(std::string_view stream, std::string label,
                                     std::string record_type,
                                     std::shared_ptr<const ReceiverFactory> receiver) {
  SourceSpec source;
  source.kind = SourceKind::kReceiver;
  source.stream = graph_->Numbered(stream);
  source.receiver = std::move(receiver);
  return AddSource(std::move(label), std::move(record_type), std::move(source));
}

NodeId StreamingContext::AddQueue(std::string record_type, std::shared_ptr<QueueSource> queue) {
  SourceSpec source;
  source.kind = SourceKind::kQueue;
  source.stream = graph_->Numbered("queue");
  source.queue = std::move(queue);
  return AddSource("QueueStream", std::move(record_type), std::move(source));
}

DStream<std::string> StreamingContext::SocketTextStream(std::string host, int port) {
  if (port < 1 || port > 65535) {
    graph_->Fail(2, "a port must be between 1 and 65535; it is " + std::to_string(port));
  }
  return internal::StreamAccess::Stream<std::string>(
      graph_, AddReceiver("socket", "SocketTextStream", "text",
                          internal::MakeSocketReceiver(std::move(host), port)));
}

DStream<std::string> StreamingContext::TextFileStream(std::string directory, FileOptions options) {
  SourceSpec source;
  source.kind = SourceKind::kFiles;
  source.stream = graph_->Numbered("files");
  std::error_code error;  // an empty path is none; that its flag is missing is said elsewhere
  const std::filesystem::path absolute = std::filesystem::absolute(directory, error);
  source.directory = error ? directory : absolute.lexically_normal().string();
  source.existing_files = options.existing == Existing::kTake;
  return internal::StreamAccess::Stream<std::string>(
      graph_, AddSource("TextFileStream", "text", std::move(source)));
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
      graph_, AddSource("PushStream", "text", std::move(source)));
}

Args& StreamingContext::args() { return state_->options.args; }
std::chrono::milliseconds StreamingContext::batch_interval() const {
  return state_->options.batch_interval;
}
void StreamingContext::Set(std::string key, std::string value) {
  state_->options.conf.emplace_back(std::move(key), std::move(value));
}

const std::string* StreamingContext::FindConstant(const std::string& name) {
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
  const Outcome flags = state_->options.args.Check(complete);
  if (!flags.ok()) return flags;
  if (!graph_->error().ok()) return graph_->error();
  std::string wrong = graph().Validate();
  if (!wrong.empty()) return {3, std::move(wrong)};
  return {};
}

Outcome StreamingContext::Start() {
  if (state_->runner != nullptr) return {3, "the job has been started already"};
  Outcome outcome = Check();
  if (!outcome.ok()) return outcome;
  const JobRunnerFactory factory = g_runner_factory;
  if (factory == nullptr) return {3, "this program is not linked with the Sluice runtime"};
  graph_->Freeze();
  state_->runner = factory();
  return state_->runner->Start(*this);
}

Outcome StreamingContext::AwaitTermination() {
  if (state_->runner == nullptr) return {3, "the job has not been started"};
  return state_->runner->Await(std::nullopt).value_or(Outcome());
}

std::optional<Outcome> StreamingContext::AwaitTerminationOrTimeout(
    std::chrono::milliseconds timeout) {
  if (state_->runner == nullptr) return Outcome{3, "the job has not been started"};
  return state_->runner->Await(timeout);
}

Outcome StreamingContext::Stop(StopOptions options) {
  if (state_->runner == nullptr) return {};
  return state_->runner->Stop(options);
}

const JobOptions& StreamingContext::options() const { return state_->options; }
const ConstantValues& StreamingContext::constants() const { return state_->constants; }
BuildFunction StreamingContext::build_function() const { return state_->build; }

}  // namespace sluice
