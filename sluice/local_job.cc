#include "sluice/local_job.h"

#include <unistd.h>

#include <random>
#include <utility>

#include "checkpoint/errors.h"
#include "checkpoint/letters.h"
#include "common/status.h"
#include "common/units.h"
#include "glog/logging.h"
#include "sluice/driver_role.h"
#include "sluice/job_settings.h"
#include "sluice/printing.h"
#include "worker/daemon/store_blocks.h"
#include "sluice/state_backend.h"
#include "worker/executor/s3_output_stager.h"
#include "worker/receiver/buffer_pools.h"

namespace sluice {
namespace {

constexpr char kDriverAddress[] = "driver";
constexpr char kWorkerAddress[] = "worker";
constexpr char kWorkerId[] = "local";

uint64_t RandomId() {
  static std::random_device device;
  return (uint64_t{device()} << 32) ^ device();
}

}  // namespace

LocalJob::LocalJob(const StreamingContext& context, LocalJobOptions options)
    : options_(std::move(options)),
      graph_(&context.graph()),
      outputs_(std::make_unique<AnyOutputStager>()),
      driver_loop_({.name = "driver-link"}),
      worker_loop_({.name = "worker"}),
      executor_loop_({.name = "executor-link"}) {}

LocalJob::~LocalJob() {
  if (driver_ != nullptr) driver_->Stop();  // a job that has not ended would go on sending
  {
    std::lock_guard<std::mutex> lock(executors_mutex_);
    closing_ = true;  // the worker may still be told to start or end some
    for (auto& [id, tasks] : tasks_) {
      tasks.executor->Stop();
      tasks.transport.reset();
    }
    for (auto& [id, receivers] : receivers_) {
      receivers.node->Stop();
      receivers.transport.reset();
    }
  }
  host_.reset();
  driver_transport_.reset();
  worker_loop_.Stop();
  executor_loop_.Stop();
  driver_loop_.Stop();
}

absl::StatusOr<std::unique_ptr<LocalJob>> LocalJob::Start(const StreamingContext& context,
                                                          LocalJobOptions options) {
  std::unique_ptr<LocalJob> job(new LocalJob(context, std::move(options)));
  RETURN_IF_ERROR(job->Begin(context));
  return job;
}

std::shared_ptr<const LineageGraph> LocalJob::Graph() const {
  return {std::shared_ptr<void>(), graph_};
}

// `context` is then the one that the job runs.
absl::Status LocalJob::OpenDriver(JobDriverParts parts, const StreamingContext*& context) {
  parts.graph = graph_;
  ASSIGN_OR_RETURN(driver_, JobDriver::Open(parts));
  const auto constants = LoggedConstants(driver_->recovered().state, false, context->constants());
  if (!constants.has_value()) return absl::OkStatus();
  if (options_.build_again == nullptr) {
    return RefusedError("a constant has another value than the job has logged, and the context "
                        "has no build function (StreamingContext::GetOrCreate) that could be run "
                        "with that");
  }
  driver_.reset();
  const ExitStatus built = options_.build_again(*constants, &built_again_);
  if (!built.ok()) return RefusedError(built.message);
  context = built_again_.context.get();
  graph_ = &context->graph();
  options_.config = built_again_.config;
  parts.graph = graph_;
  ASSIGN_OR_RETURN(driver_, JobDriver::Open(std::move(parts)));
  return absl::OkStatus();
}

absl::Status LocalJob::Begin(const StreamingContext& given) {
  const int64_t interval_ms = options_.config.DurationMs("batch_interval");
  if (interval_ms != given.batch_interval().count()) {
    return RefusedError("batch_interval is configured as " + FormatDurationMs(interval_ms) +
                        ", but the context was made with " +
                        FormatDurationMs(given.batch_interval().count()) +
                        ", which its windows are made for");
  }
  const ExitStatus logged = CheckReceivedLog(options_.config, options_.store.url);
  if (!logged.ok()) return RefusedError(logged.message);
  if (options_.config.Text("state_backend") == "rocksdb") {
    RETURN_IF_ERROR(PrepareStateFolder(TemporaryStateFolder()));
  }
  ASSIGN_OR_RETURN(store_, OpenJobStore(options_.store));
  JobDriverParts parts;
  parts.overwrite = options_.overwrite;
  parts.listeners = given.listeners();
  parts.log_store = store_.log.get();
  parts.objects = store_.objects.get();
  parts.codec = store_.codec.get();
  parts.known_job = store_.known;
  parts.random = RandomId;
  parts.clock = options_.clock;
  parts.print = options_.print;
  if (parts.print == nullptr) {
    parts.print = [](const std::string& text) { return PrintTo(STDOUT_FILENO, text); };
  }
  const StreamingContext* context = &given;
  RETURN_IF_ERROR(OpenDriver(std::move(parts), context));
  const Resume resume = CheckResume(driver_->recovered(), options_.config, *graph_);
  if (!resume.refused.ok()) return RefusedError(resume.refused.message);
  if (resume.finish_first) {
    const proto::JobBegun& shape = driver_->recovered().state.job();
    return RefusedError("the job has batches that were planned in " +
                        std::to_string(shape.partitions()) + " partitions, every " +
                        std::to_string(shape.batch_interval_ms()) +
                        " ms: run it so again and let it drain");
  }
  driver_transport_ = hub_.Open(kDriverAddress, driver_.get(), &driver_loop_);

  LocalBlockHostOptions host;
  host.worker_id = kWorkerId;
  host.address = kWorkerAddress;
  host.slots = options_.slots;
  host.block_memory = static_cast<uint64_t>(options_.config.Bytes("block_memory"));
  if (options_.config.IsSet("spill_dir")) {
    // A name of its own: users and containers may share the place.
    spill_folder_.path =
        options_.config.Text("spill_dir") + "/sluice-local-" + std::to_string(RandomId());
    host.spill_dir = spill_folder_.path;
  }
  host.start_executor = [this](const proto::StartExecutor& request) { StartExecutor(request); };
  host.end_executor = [this](const ExecutorKey& key) { EndExecutor(key); };
  ASSIGN_OR_RETURN(host_, LocalBlockHost::Start(std::move(host), &hub_, &worker_loop_));

  JobDriverOptions driver_options = DriverOptionsFrom(options_.config);
  driver_options.job = options_.name;
  driver_options.own_address = kDriverAddress;
  driver_options.local = true;
  driver_options.accept_loss = options_.config.On("accept_loss");
  driver_options.replication = 1;  // there is one worker
  driver_options.replication_min = 1;
  if (options_.config.On("received_log")) driver_options.received_log = store_.url;
  driver_->Start(std::move(driver_options),
                 InitFor(*context, options_.config, store_.url),
                 driver_transport_.get());
  proto::Envelope members;
  auto& worker = *members.mutable_cluster_members()->add_workers();
  worker.set_worker_id(kWorkerId);
  worker.set_incarnation(1);
  worker.set_address(kWorkerAddress);
  worker.set_host("localhost");
  worker.set_slots(options_.slots);
  driver_->OnMessage(kDriverAddress, std::move(members));
  return absl::OkStatus();
}

absl::StatusOr<proto::ReplayAnswer> LocalJob::ReplayLetters() {
  proto::Envelope wish;
  proto::ReplayLetters& replay = *wish.mutable_replay_letters();
  replay.set_request(RandomId());
  RETURN_IF_ERROR(ForLetters(store_.objects.get(), Status().job_instance(), 0, [&](auto letter) {
    *replay.add_letters() = std::move(letter);
    return true;
  }));
  const uint64_t request = replay.request();
  driver_->OnMessage(kDriverAddress, std::move(wish));
  if (!driver_->AwaitSettled()) return absl::FailedPreconditionError("the job has ended");
  proto::ReplayAnswer answer = Status().replay();
  if (answer.request() != request) return absl::InternalError("the wish was not answered");
  return answer;
}

void LocalJob::StartExecutor(const proto::StartExecutor& request) {
  std::lock_guard<std::mutex> lock(executors_mutex_);
  if (closing_) return;
  if (request.role() == "receivers") {
    if (!receivers_.contains(request.executor())) StartReceivers(request);
  } else if (!tasks_.contains(request.executor())) {
    StartTasks(request);
  }
}

void LocalJob::StartTasks(const proto::StartExecutor& request) {
  ExecutorOptions options;
  options.job_instance = request.job_instance();
  options.epoch = request.epoch();
  options.executor = request.executor();
  options.slots = request.slots();
  options.job_driver = request.job_driver_address();
  options.worker = kWorkerAddress;
  options.worker_id = kWorkerId;
  options.pid = getpid();
  options.build = [this](const proto::ExecutorInit&) -> absl::StatusOr<BuiltGraph> {
    return BuiltGraph{Graph(), options_.config.DurationMs("batch_interval"),
                      StateBackendOf(options_.config, TemporaryStateFolder())};
  };
  options.local_blocks = BlocksOfStore(host_->store());
  options.objects = store_.objects.get();
  options.codec = store_.codec.get();
  options.outputs = outputs_.get();
  TaskExecutor& tasks = tasks_[request.executor()];
  tasks.executor = std::make_unique<Executor>(std::move(options));
  tasks.transport = hub_.Open("executor-" + std::to_string(request.executor()),
                              tasks.executor.get(), &executor_loop_);
  tasks.executor->Start(tasks.transport.get());
}

void LocalJob::StartReceivers(const proto::StartExecutor& request) {
  ReceiverNodeOptions options;
  options.job_instance = request.job_instance();
  options.epoch = request.epoch();
  options.executor = request.executor();
  options.job_driver = request.job_driver_address();
  options.worker = kWorkerAddress;
  options.worker_id = kWorkerId;
  options.pid = getpid();
  options.streams = {request.streams().begin(), request.streams().end()};
  options.incarnations = {request.incarnations().begin(), request.incarnations().end()};
  options.report = [](const std::string& line) { LOG(WARNING) << line; };
  options.build = [this](const proto::ExecutorInit&) -> absl::StatusOr<ReceiverGraph> {
    ReceiverGraph graph;
    graph.graph = Graph();
    graph.block_interval_us = options_.config.DurationMs("block_interval") * 1000;
    graph.max_rate = static_cast<double>(options_.config.Number("max_rate"));
    if (options_.config.On("backpressure")) {
      graph.initial_rate = static_cast<double>(options_.config.Number("initial_rate"));
    }
    return graph;
  };
  ReceiverExecutor& receivers = receivers_[request.executor()];
  receivers.node = std::make_unique<ReceiverNode>(std::move(options), NewHeapPool(),
                                                  &executor_loop_, nullptr);
  receivers.transport = hub_.Open("receiver-" + std::to_string(request.executor()),
                                  receivers.node.get(), &executor_loop_);
  receivers.node->Start(receivers.transport.get());
}

// Not under the lock, which the loop of the worker takes to start others: that loop is to take what
// a receiver hands over at its end.
void LocalJob::EndExecutor(const ExecutorKey& key) {
  std::optional<TaskExecutor> tasks;
  std::optional<ReceiverExecutor> receivers;
  {
    std::lock_guard<std::mutex> lock(executors_mutex_);
    if (closing_) return;
    if (auto node = tasks_.extract(key.executor)) tasks = std::move(node.mapped());
    if (auto node = receivers_.extract(key.executor)) receivers = std::move(node.mapped());
  }
  if (tasks.has_value()) {
    tasks->executor->Stop();
    tasks->transport.reset();
  }
  if (receivers.has_value()) {
    receivers->node->Stop();
    receivers->transport.reset();
  }
}

}  // namespace sluice
