#include "tests/engine/small_cluster.h"

#include <utility>

#include "glog/logging.h"
#include "worker/daemon/store_blocks.h"

namespace sluice {
namespace {

constexpr char kDriver[] = "driver";
constexpr int64_t kIntervalMs = 1000;
constexpr int64_t kDayUs = 86'400'000'000;

std::string WorkerName(int number) { return "worker-" + std::to_string(number); }
std::string ExecutorName(uint32_t executor) { return "executor-" + std::to_string(executor); }

}  // namespace

SmallCluster::SmallCluster(const StreamingContext& context, SmallClusterOptions options)
    : context_(context),
      options_(options),
      hub_([this](const std::string&, const std::string& to, const proto::Envelope& message) {
        Count(to, message);
      }) {
  JobDriverParts parts;
  parts.graph = &context_.graph();
  parts.log_store = &log_;
  parts.objects = &objects_;
  parts.codec = codec_.get();
  parts.random = [this] { return random_++; };
  parts.print = [](const std::string&) { return absl::OkStatus(); };
  parts.clock = &clock_;
  auto opened = JobDriver::Open(parts);
  CHECK(opened.ok()) << opened.status();
  driver_ = *std::move(opened);
  driver_transport_ = hub_.Open(kDriver, driver_.get(), &driver_loop_);
  for (int number = 0; number < options_.workers; ++number) StartWorker(number);

  JobDriverOptions driver;
  driver.job = "counted";
  driver.own_address = kDriver;
  driver.batch_interval_ms = kIntervalMs;
  driver.partitions = options_.partitions;
  driver.replication = 1;
  driver.lease_us = kDayUs;
  driver.checkpoint_interval_ms = kDayUs / 1000;
  driver_->Start(driver, proto::ExecutorInit(), driver_transport_.get());
  proto::Envelope members;
  for (const Worker& worker : workers_) {
    auto& member = *members.mutable_cluster_members()->add_workers();
    member.set_worker_id(worker.id);
    member.set_incarnation(1);
    member.set_address(worker.id);
    member.set_host(worker.id);
    member.set_slots(options_.slots);
  }
  driver_->OnMessage(kDriver, std::move(members));
  CHECK(driver_->AwaitSettled());
}

SmallCluster::~SmallCluster() {
  driver_->Stop();
  {
    std::lock_guard lock(executors_mutex_);
    closing_ = true;
    for (auto& [id, one] : executors_) {
      one.executor->Stop();
      one.transport.reset();
    }
  }
  workers_.clear();
  driver_transport_.reset();
  worker_loop_.Stop();
  executor_loop_.Stop();
  driver_loop_.Stop();
}

void SmallCluster::StartWorker(int number) {
  LocalBlockHostOptions host;
  host.worker_id = host.address = host.host = WorkerName(number);
  host.slots = options_.slots;
  host.start_executor = [this, id = host.worker_id](const proto::StartExecutor& request) {
    StartExecutor(id, request);
  };
  host.end_executor = [this](const ExecutorKey& key) { EndExecutor(key); };
  const std::string id = host.worker_id;
  auto started = LocalBlockHost::Start(std::move(host), &hub_, &worker_loop_);
  CHECK(started.ok()) << started.status();
  workers_.push_back({id, *std::move(started)});
}

void SmallCluster::StartExecutor(const std::string& worker, const proto::StartExecutor& request) {
  std::lock_guard lock(executors_mutex_);
  if (closing_ || executors_.contains(request.executor())) return;
  ExecutorOptions options;
  options.job_instance = request.job_instance();
  options.epoch = request.epoch();
  options.executor = request.executor();
  options.slots = request.slots();
  options.job_driver = request.job_driver_address();
  options.worker = options.worker_id = worker;
  options.build = [this](const proto::ExecutorInit&) -> absl::StatusOr<BuiltGraph> {
    return BuiltGraph{{std::shared_ptr<void>(), &context_.graph()}, kIntervalMs, options_.state};
  };
  options.objects = &objects_;
  options.codec = codec_.get();
  options.outputs = &outputs_;
  options.clock = &still_;
  Running& one = executors_[request.executor()];
  one.worker = worker;
  one.executor = std::make_unique<Executor>(std::move(options));
  one.transport =
      hub_.Open(ExecutorName(request.executor()), one.executor.get(), &executor_loop_);
  one.executor->Start(one.transport.get());
}

void SmallCluster::EndExecutor(const ExecutorKey& key) {
  std::lock_guard lock(executors_mutex_);
  const auto found = executors_.find(key.executor);
  if (closing_ || found == executors_.end()) return;
  found->second.executor->Stop();
  found->second.transport.reset();
  executors_.erase(found);
}

bool SmallCluster::RunBatch() {
  clock_.Advance(kIntervalMs * 1000);
  return driver_->AwaitSettled();
}

bool SmallCluster::LoseAnExecutor() {
  Running lost;
  {
    std::lock_guard lock(executors_mutex_);
    lost = std::move(executors_.begin()->second);
    executors_.erase(executors_.begin());
  }
  lost.executor->Stop();
  lost.transport.reset();  // its peers are told that nobody listens there any more
  driver_loop_.Sync();
  return driver_->AwaitSettled();
}

SmallCluster::Counts SmallCluster::TakeCounts() {
  std::lock_guard lock(counts_mutex_);
  return std::exchange(counts_, {});
}

std::map<std::string, std::vector<int>> SmallCluster::TakeGrants() {
  std::lock_guard lock(counts_mutex_);
  return std::exchange(grants_, {});
}

void SmallCluster::Count(const std::string& to, const proto::Envelope& message) {
  if (message.has_executor_beat() || message.has_executor_attach()) return;
  const auto* field = message.GetDescriptor()->FindFieldByNumber(message.message_case());
  std::lock_guard lock(counts_mutex_);
  ++counts_[field->name()];
  if (!message.has_batch_grant() || message.batch_grant().batches_size() == 0) return;
  const uint64_t generation = message.batch_grant().generation().number();
  if (generation > generation_) grants_.clear();
  generation_ = generation;
  grants_[to].push_back(message.batch_grant().batches_size());
}

}  // namespace sluice
