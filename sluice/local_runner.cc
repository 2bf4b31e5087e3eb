#include "sluice/local_runner.h"

#include <signal.h>

#include <algorithm>
#include <iostream>
#include <optional>
#include <thread>

#include "checkpoint/errors.h"
#include "common/exit_status.h"
#include "common/plan/graph.h"
#include "sluice/end_in_time.h"
#include "sluice/job_settings.h"
#include "sluice/local_job.h"
#include "sluice/local_pages.h"
#include "sluice/runner_install.h"
#include "sluice/running_job.h"

namespace sluice {
namespace {

ExitStatus ToStatus(const Outcome& outcome) { return {outcome.exit_code, outcome.message}; }

// What a context with this graph can run on, without a cluster.
absl::Status CheckLocal(const LineageGraph& graph) {
  for (const Node& node : graph.nodes()) {
    if (node.kind != NodeKind::kSource) continue;
    if (node.source.kind == SourceKind::kPush) {
      return RefusedError("stream " + node.source.stream +
                          " is pushed to, which needs a cluster: submit the program");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<LocalJob>> StartLocal(const StreamingContext& context,
                                                     const ProgramFlags& flags,
                                                     const Config& config,
                                                     BuildWithConstants build_again) {
  const absl::Status fits = CheckLocal(context.graph());
  if (!fits.ok()) return fits;
  const ExitStatus queues = CheckQueueStreams(context.graph(), flags.checkpoint);
  if (!queues.ok()) return RefusedError(queues.message);
  LocalJobOptions options;
  options.name = context.options().name;
  options.slots = LocalSlots(flags);
  options.config = config;
  options.build_again = std::move(build_again);
  options.store.log_url = config.Text("log_url");
  options.store.sync = config.On("log_sync");
  options.overwrite = flags.overwrite;
  options.store.fresh = flags.fresh;
  options.store.discard_checkpoint = flags.discard_checkpoint;
  options.store.url = flags.checkpoint;
  return LocalJob::Start(context, std::move(options));
}

// Runner of a context that a program embeds.
class LocalRunner : public JobRunner {
 public:
  Outcome Start(StreamingContext& context) override {
    ProgramFlags flags;
    flags.checkpoint = context.options().checkpoint;
    Config config;
    const ExitStatus resolved = ResolveConfig(flags, context.options(), &config);
    if (!resolved.ok()) return {resolved.code, resolved.message};
    BuildWithConstants build_again;
    if (context.build_function() != nullptr) {
      build_again = [&](const ConstantValues& constants, BuiltProgram* again) {
        again->flags = flags;
        return BuildContext(context.options(), context.build_function(),
                            {.constants = constants}, again);
      };
    }
    absl::StatusOr<std::unique_ptr<LocalJob>> job =
        StartLocal(context, flags, config, std::move(build_again));
    if (!job.ok()) return OfUser(job.status());
    job_ = *std::move(job);
    return {};
  }
  std::optional<Outcome> Await(std::optional<std::chrono::milliseconds> timeout) override {
    const std::optional<JobEnding> ending =
        job_->Await(timeout.has_value() ? timeout->count() : -1);
    if (!ending.has_value()) return std::nullopt;
    return OfUser(*ending);
  }
  Outcome Stop(StopOptions options) override {
    StopRequested stop;
    stop.cancel = !options.drain;
    job_->RequestStop(stop);
    return *Await(std::nullopt);
  }

 private:
  std::unique_ptr<LocalJob> job_;
};

}  // namespace

namespace internal {
bool InstallLocalRunner() {
  InstallJobRunner([]() -> std::unique_ptr<JobRunner> { return std::make_unique<LocalRunner>(); });
  return true;
}
}  // namespace internal

Outcome OfUser(const absl::Status& status) {
  const int code = ExitCodeOf(status);
  if (code != 0) return OfUser(JobEnding{code, "", std::string(status.message())});
  const ExitStatus exit = ToExit(status);
  return {exit.code, exit.message};
}

Outcome OfUser(const JobEnding& ending) {
  return {ending.exit_code == kExitStartAgain ? kExitFailed : ending.exit_code, ending.message};
}

uint32_t LocalSlots(const ProgramFlags& flags) {
  return flags.slots != 0 ? flags.slots : std::max(1u, std::thread::hardware_concurrency());
}

ExitStatus RunLocal(BuiltProgram program, BuildWithConstants build_again) {
  sigset_t signals;  // blocked before any thread starts; taken by the watcher
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const std::string name = program.context->options().name;
  std::unique_ptr<LocalPages> pages;
  if (program.flags.http.has_value()) {
    auto started = LocalPages::Start(*program.flags.http);
    if (!started.ok()) return ToStatus(OfUser(started.status()));
    pages = *std::move(started);
    std::cerr << name << ": pages at http://" << pages->address() << std::endl;
  }
  RunningJob running;
  running.Attach(program);
  absl::StatusOr<std::unique_ptr<LocalJob>> job = StartLocal(
      *program.context, program.flags, program.config,
      [&](const ConstantValues& constants, BuiltProgram* again) {
        const ExitStatus built = build_again(constants, again);
        if (built.ok()) running.Attach(*again);
        return built;
      });
  if (!job.ok()) return ToStatus(OfUser(job.status()));
  running.Begin([&](const StopRequested& stop) { (*job)->RequestStop(stop); });
  if (pages != nullptr) {
    pages->Show(job->get(), LocalSlots(program.flags), program.flags.checkpoint);
  }
  std::thread watcher([&] {
    int number = 0;
    for (int count = 0; sigwait(&signals, &number) == 0 && number != SIGUSR1; ++count) {
      if (count > 0) {
        std::cerr << name << ": ended at once" << std::endl;
        _exit(kExitDeadline);
      }
      std::cerr << name << ": draining; a second signal ends it at once" << std::endl;
      (*job)->RequestStop({});
    }
  });
  const JobEnding ending = *(*job)->Await(-1);
  running.End(OfUser(ending));
  pthread_kill(watcher.native_handle(), SIGUSR1);
  watcher.join();
  if (ending.exit_code == kExitDeadline) {
    // What did not end in time may never end: nothing waits for a function that does not return.
    std::cerr << name << ": " << ending.message << std::endl;
    _exit(kExitDeadline);
  }
  const ExitStatus end = ToStatus(OfUser(ending));
  std::optional<EndInTime> in_time;
  if (!end.ok()) {
    in_time.emplace(kEndPatience, end.code,
                    [&] { std::cerr << name << ": " << end.message << std::endl; });
  }
  pages.reset();
  program.context->listeners()->Close();  // they may call what ends with the contexts
  job->reset();
  program = {};
  return end;
}

}  // namespace sluice
