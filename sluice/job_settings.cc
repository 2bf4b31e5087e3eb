#include "sluice/job_settings.h"

#include <unistd.h>

#include <exception>
#include <filesystem>

#include "common/plan/graph.h"
#include "common/units.h"

namespace sluice {

ExitStatus RunBuild(BuildFunction build, StreamingContext& context) {
  try {
    build(context);
  } catch (const std::exception& e) {
    return {kExitFailed, std::string("the build function threw: ") + e.what()};
  } catch (...) {
    return {kExitFailed, "the build function threw something that is no std::exception"};
  }
  return {};
}

ExitStatus ResolveConfig(const ProgramFlags& flags, const JobOptions& program, Config* config,
                         Environment environment) {
  ExitStatus status = config->Set(ConfSource::kProgram, "batch_interval",
                                  FormatDurationMs(program.batch_interval.count()));
  if (!status.ok()) return status;
  for (const auto& [key, value] : program.conf) {
    status = config->Set(ConfSource::kProgram, key, value);
    if (!status.ok()) return status;
  }
  if (!flags.conf_file.empty()) {
    status = config->ReadFile(flags.conf_file);
    if (!status.ok()) return status;
  }
  status = config->ReadEnvironment(environment == Environment::kOfUser ? environ : nullptr);
  if (!status.ok()) return status;
  for (const auto& [key, value] : flags.conf) {
    status = config->Set(ConfSource::kFlag, key, value);
    if (!status.ok()) return status;
  }
  if (config->Number("replication_min") > config->Number("replication")) {
    return {kExitRefused, "replication_min is above replication"};
  }
  return {};
}

ExitStatus CheckReceivedLog(const Config& config, const std::string& checkpoint) {
  if (!config.On("received_log") || !checkpoint.empty()) return {};
  return {kExitRefused,
          "received_log=on needs --checkpoint: its store is where received blocks are kept"};
}

ExitStatus CheckCheckpointTyped(const ProgramFlags& flags, const JobOptions& program) {
  if (program.checkpoint.empty() || flags.Typed("checkpoint")) return {};
  return {kExitRefused, "the program has a checkpoint, which the driver must know of; give it to "
                        "`sluice submit` as well: --checkpoint=" + program.checkpoint};
}

ExitStatus CheckQueueStreams(const LineageGraph& graph, const std::string& store) {
  for (const Node& node : graph.nodes()) {
    const bool recoverable = node.kind != NodeKind::kSource ||
                             node.source.kind != SourceKind::kQueue ||
                             node.source.queue->test_only();
    if (recoverable || store.empty()) continue;
    return {kExitRefused, "a QueueStream cannot be recovered, so it cannot be used on a cluster or "
                          "with a checkpoint unless it is marked test_only"};
  }
  return {};
}

ExitStatus CheckDirectories(const LineageGraph& graph) {
  std::error_code error;
  const std::string here = std::filesystem::current_path(error).string() + "/";
  for (const Node& node : graph.nodes()) {
    const std::string& directory = node.source.directory;
    if (error || !directory.starts_with(here)) continue;
    return {kExitUsage, node.label + ": the directory must be an absolute path that all nodes "
                        "see: ./" + directory.substr(here.size())};
  }
  return {};
}

JobDriverOptions DriverOptionsFrom(const Config& config) {
  JobDriverOptions options;
  options.pid = getpid();
  options.conf = config.Values();
  options.batch_interval_ms = config.DurationMs("batch_interval");
  options.partitions = static_cast<uint32_t>(config.Number("partitions"));
  options.key_groups = static_cast<uint32_t>(config.Number("key_groups"));
  options.lease_us = config.DurationMs("worker_lease") * 1000;
  options.replication = static_cast<uint32_t>(config.Number("replication"));
  options.replication_min = static_cast<uint32_t>(config.Number("replication_min"));
  options.deltas = config.Text("recovery") == "deltas";
  options.task_max_failures = static_cast<uint32_t>(config.Number("task_max_failures"));
  options.straggler_copies = config.On("straggler_copies");
  options.skip_failed_batches = config.Text("on_batch_failure") == "skip";
  if (config.Text("bad_records") == "aside") {
    options.bad_records_max = static_cast<uint32_t>(config.Number("bad_records_max"));
  }
  options.checkpoint_interval_ms = config.DurationMs("checkpoint_interval");
  options.drain_deadline_us = config.DurationMs("drain_deadline") * 1000;
  options.driver_restarts = static_cast<uint32_t>(config.Number("driver_restarts"));
  options.file_settle_ms = config.DurationMs("file_settle");
  if (config.IsSet("max_batch_input")) {
    options.max_batch_input = static_cast<uint64_t>(config.Bytes("max_batch_input"));
  }
  options.push_producer_expiry_ms = config.DurationMs("push_producer_expiry");
  options.push_producers_max = static_cast<uint32_t>(config.Number("push_producers_max"));
  options.backpressure = config.On("backpressure");
  options.initial_rate = static_cast<double>(config.Number("initial_rate"));
  return options;
}

}  // namespace sluice
