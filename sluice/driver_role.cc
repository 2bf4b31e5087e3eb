#include "sluice/driver_role.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>

#include "checkpoint/errors.h"
#include "common/exit_status.h"
#include "common/job_files.h"
#include "common/key_hash.h"
#include "common/net/grpc_transport.h"
#include "common/plan/graph.h"
#include "common/spawn.h"
#include "common/units.h"
#include "driver/job/job_driver.h"
#include "glog/logging.h"
#include "sluice/end_in_time.h"
#include "sluice/job_store.h"
#include "sluice/late_handler.h"
#include "sluice/printing.h"
#include "sluice/running_job.h"

namespace sluice {
namespace {

constexpr int64_t kRotateMs = 1000;  // how often the size of what we print is looked at

uint64_t RandomId() {
  static std::random_device device;
  return (uint64_t{device()} << 32) ^ device();
}

ExitStatus FromStatus(const absl::Status& status) {
  const int code = ExitCodeOf(status);
  if (code != 0) return {code, std::string(status.message())};
  if (absl::IsResourceExhausted(status)) return {kExitUsedUp, std::string(status.message())};
  return ToExit(status);
}

ExitStatus TakeShape(const proto::JobBegun& shape, Config* config) {
  const ExitStatus set = config->Set(ConfSource::kFlag, "batch_interval",
                                     FormatDurationMs(shape.batch_interval_ms()));
  if (!set.ok()) return set;
  return config->Set(ConfSource::kFlag, "partitions", std::to_string(shape.partitions()));
}

ExitStatus Resolve(const ProgramFlags& flags, const JobOptions& options,
                   const BuildSettings& settings, Config* config) {
  *config = Config();
  const ExitStatus resolved = ResolveConfig(flags, options, config, settings.environment);
  const bool shaped = resolved.ok() && settings.shape != nullptr;
  return shaped ? TakeShape(*settings.shape, config) : resolved;
}

// State that is made of batches, and would not be found again because its operator slides by
// another time than before.
std::string LostBatches(const proto::ProgramSeen& former, const ProgramChange& change) {
  for (const auto& state : former.states()) {
    const auto& dropped = change.dropped;
    if (state.slide_ms() == 0 ||
        std::find(dropped.begin(), dropped.end(), state.name()) == dropped.end()) {
      continue;
    }
    return "state " + state.name() + " (" + state.type() + ") has a batch every " +
           std::to_string(state.slide_ms()) + " ms, and no operator of the program goes on with "
           "that under the other batch interval";
  }
  return "";
}

// Nothing is left that only the program which ran before could do.
bool IsSettled(const JobState& job) {
  const bool published =
      std::all_of(job.decided().begin(), job.decided().end(),
                  [](const auto& batch) { return batch.second.unpublished.empty(); });
  return job.FirstUndecided() == 0 && job.waiting_blocks().empty() &&
         job.last_decided_ms() <= job.sealed_ms() && published;
}

// Functions are in no fingerprint: those of another binary may give another state.
void SayWhoseBatches(const JobState& job, const std::string& digest) {
  const std::string& former = job.program().binary_digest();
  if (former.empty() || former == digest || job.last_decided_ms() <= job.sealed_ms()) return;
  LOG(WARNING) << "batches behind " << job.sealed_ms() << " up to " << job.last_decided_ms()
               << " were decided by another binary, " << former << "; this one runs them again "
               << "for the state that they leave";
}

}  // namespace

ExitStatus BuildProgram(const std::vector<std::string>& words, JobOptions options,
                        BuildFunction build, const BuildSettings& settings, BuiltProgram* built) {
  std::vector<std::string> rest = words;
  absl::StatusOr<ProgramFlags> flags = TakeProgramFlags(&rest);
  if (!flags.ok()) return FromStatus(flags.status());
  built->flags = *std::move(flags);
  built->program_words = rest;
  options.args = Args::Parse(rest);
  if (built->flags.checkpoint.empty()) built->flags.checkpoint = options.checkpoint;
  options.checkpoint = built->flags.checkpoint;
  const ExitStatus status = BuildContext(options, build, settings, built);
  if (built->context == nullptr) return status;
  for (const std::string& name : built->context->options().args.asked()) {
    if (!IsOwnFlag(name)) continue;
    return {kExitRefused, "the program asks for --" + name + ", which is Sluice's own flag; it has "
                          "to choose another name"};
  }
  return status;
}

ExitStatus BuildContext(const JobOptions& given, BuildFunction build,
                        const BuildSettings& settings, BuiltProgram* built) {
  JobOptions options = given;
  ExitStatus resolved = Resolve(built->flags, options, settings, &built->config);
  if (!resolved.ok()) return resolved;
  const int64_t interval_ms = built->config.DurationMs("batch_interval");
  options.batch_interval = std::chrono::milliseconds(interval_ms);
  built->context = std::make_unique<StreamingContext>(options, settings.constants);
  ExitStatus ran = RunBuild(build, *built->context);
  if (!ran.ok()) return ran;
  const Outcome checked = built->context->Check(settings.complete);
  if (!checked.ok()) return {checked.exit_code, checked.message};
  JobOptions set = given;  // with what the build function has set
  set.conf = built->context->options().conf;
  resolved = Resolve(built->flags, set, settings, &built->config);
  if (!resolved.ok()) return resolved;
  if (built->config.DurationMs("batch_interval") != interval_ms) {
    return {kExitRefused, "batch_interval cannot be set by the build function, whose streams are "
                          "made for " + FormatDurationMs(interval_ms) + "; it is in JobOptions"};
  }
  built->second = std::make_unique<StreamingContext>(options, built->context->constants());
  ran = RunBuild(build, *built->second);
  if (!ran.ok()) return ran;
  if (built->second->graph().Fingerprint() != built->context->graph().Fingerprint()) {
    return {kExitRefused, "the build function gave two different graphs; values that differ from "
                          "call to call go through StreamingContext::Constant"};
  }
  return {};
}

proto::ExecutorInit InitFor(const StreamingContext& context, const Config& config,
                            const std::string& store_url) {
  proto::ExecutorInit init;
  for (const auto& [name, bytes] : context.constants()) {
    (*init.mutable_constants())[name] = bytes;
  }
  for (const auto& [key, value] : config.Values()) (*init.mutable_conf())[key] = value;
  (*init.mutable_conf())[kStoreUrlKey] = store_url;
  return init;
}

std::optional<ConstantValues> LoggedConstants(const JobState& job, bool relaunched,
                                              const ConstantValues& computed) {
  if (!job.begun() || (IsSettled(job) && !relaunched)) return std::nullopt;
  const auto& logged = job.program().constants();
  ConstantValues all(logged.begin(), logged.end());
  bool differs = false;
  for (const auto& [name, bytes] : computed) {
    const auto known = logged.find(name);
    if (known == logged.end()) {
      all.emplace_back(name, bytes);
    } else if (known->second != bytes) {
      differs = true;
      LOG(WARNING) << "constant " << name << " has another value now; the job goes on with the "
                      "one that it has logged, until it is drained";
    }
  }
  if (!differs) return std::nullopt;
  return all;
}

Resume CheckResume(const RecoveredJob& job, const Config& config, const LineageGraph& graph) {
  const JobState& recovered = job.state;
  if (!recovered.begun()) return {};
  const auto refuse = [](std::string why) { return Resume{{kExitRefused, std::move(why)}}; };
  if (config.Number("key_groups") != recovered.job().key_groups()) {
    return refuse("key_groups is fixed for the life of a checkpoint: " +
                  std::to_string(recovered.job().key_groups()));
  }
  if (recovered.job().key_hash() != kKeyHashName) {
    return refuse("the checkpoint is of a Sluice that hashes keys in another way (" +
                  recovered.job().key_hash() + ", not " + std::string(kKeyHashName) + ")");
  }
  const uint32_t had = recovered.job().partitions();
  const auto wanted = static_cast<uint32_t>(config.Number("partitions"));
  const uint32_t partitions = wanted != 0 ? wanted : had;
  const bool other_interval =
      recovered.job().batch_interval_ms() != config.DurationMs("batch_interval");
  proto::ProgramSeen now;
  DescribeProgram(StagePlan(graph, partitions), &now);
  ProgramChange change = CompareState(job.checkpoint_program, now);
  if (other_interval && change.refused.empty()) {
    change.refused = LostBatches(job.checkpoint_program, change);
  }
  if (!change.refused.empty()) {
    return refuse("the checkpoint cannot be taken up by this program: " + change.refused);
  }
  const bool same = recovered.program().graph_fingerprint() == 0 ||
                    recovered.program().graph_fingerprint() == graph.Fingerprint();
  if (!same && !IsSettled(recovered)) {
    return refuse("the program has changed, and the job has batches that only the former one can "
                  "finish: run that one and drain it first");
  }
  return {{}, (partitions != had || other_interval) && !MayReshape(job, graph)};
}

ExitStatus RunDriverRole(const DriverRoleFlags& role, const std::vector<std::string>& words,
                         JobOptions options, BuildFunction build) {
  const Security security = TakeJobSecurity({role.host});
  absl::StatusOr<std::vector<JobFile>> files = ReadJobFiles(role.data);
  if (!files.ok()) return FromStatus(files.status());
  constexpr Environment kEnvironment = Environment::kOfDaemon;
  BuiltProgram program;
  ExitStatus built =
      BuildProgram(words, options, build, {.environment = kEnvironment}, &program);
  if (!built.ok()) return built;
  const ExitStatus directories = CheckDirectories(program.context->graph());
  if (!directories.ok()) return directories;

  const ExitStatus typed = CheckCheckpointTyped(program.flags, options);
  if (!typed.ok()) return typed;
  const ExitStatus logged = CheckReceivedLog(program.config, program.flags.checkpoint);
  if (!logged.ok()) return logged;
  if (program.config.On("accept_loss")) {
    return {kExitRefused, "accept_loss is a setting of local jobs; on a cluster `sluice job "
                          "accept-loss` decides, once the blocks are lost"};
  }
  DriverStoreOptions store_options;
  store_options.url = program.flags.checkpoint.empty() ? "rocksdb:" + role.data + "/store"
                                                       : program.flags.checkpoint;
  const ExitStatus queues = CheckQueueStreams(program.context->graph(), store_options.url);
  if (!queues.ok()) return queues;
  store_options.log_url = program.config.Text("log_url");
  store_options.sync = program.config.On("log_sync");
  store_options.fresh = program.flags.fresh && !role.resumes;
  store_options.discard_checkpoint = program.flags.discard_checkpoint && !role.resumes;
  store_options.must_exist = role.resumes;
  absl::StatusOr<JobStore> store = OpenJobStore(store_options);
  if (!store.ok()) return FromStatus(store.status());

  JobDriverParts parts;
  parts.graph = &program.context->graph();
  parts.log_store = store->log.get();
  parts.objects = store->objects.get();
  parts.codec = store->codec.get();
  parts.known_job = store->known;
  parts.overwrite = program.flags.overwrite;
  parts.random = RandomId;
  parts.listeners = program.context->listeners();
  parts.print = [](const std::string& text) { return PrintTo(STDOUT_FILENO, text); };
  absl::StatusOr<std::unique_ptr<JobDriver>> driver = JobDriver::Open(parts);
  if (!driver.ok()) return FromStatus(driver.status());
  const auto build_again = [&](const BuildSettings& settings) -> ExitStatus {
    driver->reset();
    program = {};
    ExitStatus again = BuildProgram(words, options, build, settings, &program);
    if (!again.ok()) return again;
    parts.graph = &program.context->graph();
    parts.listeners = program.context->listeners();
    driver = JobDriver::Open(parts);
    return driver.ok() ? ExitStatus() : FromStatus(driver.status());
  };
  const JobState& former = (*driver)->recovered().state;
  const auto logged_constants = LoggedConstants(
      former, role.resumes && former.program().binary_digest() == role.digest,
      program.context->constants());
  if (logged_constants.has_value()) {
    built = build_again({.constants = logged_constants, .environment = kEnvironment});
    if (!built.ok()) return built;
  }
  const Resume resume = CheckResume(
      (*driver)->recovered(), program.config, program.context->graph());
  if (!resume.refused.ok()) return resume.refused;
  SayWhoseBatches((*driver)->recovered().state, role.digest);
  if (resume.finish_first) {
    const proto::JobBegun shape = (*driver)->recovered().state.job();
    const uint64_t fingerprint = (*driver)->recovered().state.program().graph_fingerprint();
    built = build_again({.constants = program.context->constants(),
                         .shape = &shape,
                         .environment = kEnvironment});
    if (!built.ok()) return built;
    if (program.context->graph().Fingerprint() != fingerprint) {
      return {kExitRefused, "the job has batches that were planned every " +
                                FormatDurationMs(shape.batch_interval_ms()) +
                                ", for which the program is another one: drain it as it was"};
    }
    LOG(WARNING) << "what was planned in " << shape.partitions() << " partitions, every "
                 << shape.batch_interval_ms() << " ms, is finished first";
  }

  RunningJob running;
  running.Attach(program);
  LateHandler handler;
  GrpcTransportOptions transport_options;
  transport_options.host = role.host;
  transport_options.security = security;
  absl::StatusOr<std::unique_ptr<GrpcTransport>> transport =
      GrpcTransport::Start(std::move(transport_options), &handler);
  if (!transport.ok()) return FromStatus(transport.status());
  handler.Connect(driver->get());

  JobDriverOptions driver_options = DriverOptionsFrom(program.config);
  driver_options.job = role.job;
  driver_options.daemon_address = role.daemon;
  driver_options.own_address = (*transport)->address();
  driver_options.binary_digest = role.digest;
  driver_options.program = role.program;
  driver_options.files = *std::move(files);
  driver_options.args = program.program_words;
  driver_options.finish_only = resume.finish_first;
  driver_options.resumable = !program.flags.checkpoint.empty();
  if (program.config.On("received_log")) driver_options.received_log = store->url;
  (*driver)->Start(std::move(driver_options),
                   InitFor(*program.context, program.config, store->url),
                   transport->get());
  running.Begin([&](const StopRequested& stop) { (*driver)->RequestStop(stop); });
  std::optional<JobEnding> ending;
  while (!(ending = (*driver)->Await(kRotateMs))) RotateOwnOutput(role.data + "/" + kOutputFile);
  (*transport)->Shutdown(1'000'000);
  const ExitStatus end{ending->exit_code, ending->message};
  running.End({end.code, end.message});
  std::optional<EndInTime> in_time;
  if (!end.ok()) {
    in_time.emplace(kEndPatience, end.code, [&] {
      std::cerr << options.name << ": " << end.message << std::endl;
      LeaveWord(role, end);
    });
  }
  transport->reset();
  driver->reset();
  program.context->listeners()->Close();  // they may call what ends with the contexts
  program = {};
  return end;
}

void LeaveWord(const DriverRoleFlags& role, const ExitStatus& status) {
  std::ofstream(role.data + "/" + kExitCodeFile) << status.code << std::endl;
}

}  // namespace sluice
