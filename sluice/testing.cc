#include "sluice/testing.h"

#include "common/clock.h"
#include "common/status.h"
#include "glog/logging.h"
#include "sluice/job_settings.h"
#include "sluice/local_job.h"
#include "sluice/local_runner.h"

namespace sluice {
namespace {

JobOptions OptionsOfJob(const TestOptions& options) {
  JobOptions job;
  job.name = "test";
  job.batch_interval = options.batch_interval;
  job.conf = options.conf;
  job.args = options.args;
  return job;
}

}  // namespace

struct TestContext::State {
  explicit State(TestOptions given)
      : options(std::move(given)),
        clock(1'000'000, kZeroMs - kZeroMs % std::max<int64_t>(options.batch_interval.count(), 1)),
        context(OptionsOfJob(options)) {}

  Outcome Start();
  Outcome Ending() const {
    const std::optional<JobEnding> ending = job->Await(-1);
    return OfUser(*ending);
  }

  const TestOptions options;
  ManualClock clock;
  StreamingContext context;
  std::mutex mutex;  // of the text: Print has a thread of its own
  std::string printed;
  int64_t batch_ms = 0;
  std::unique_ptr<LocalJob> job;
};

Outcome TestContext::State::Start() {
  // A program that has not set up logging is spared what is only for information.
  if (!google::IsGoogleLoggingInitialized()) FLAGS_minloglevel = google::WARNING;
  Outcome checked = context.Check();
  if (!checked.ok()) return checked;
  LocalJobOptions local;
  local.name = context.options().name;
  local.slots = options.slots;
  local.clock = &clock;
  if (!options.checkpoint.empty()) local.store.url = "rocksdb:" + options.checkpoint;
  local.print = [this](const std::string& text) {
    std::lock_guard lock(mutex);
    printed += text;
    return absl::OkStatus();
  };
  ProgramFlags flags;
  // Whoever answers in real time must not be judged by a clock that jumps.
  flags.conf = {{"worker_lease", "24h"}};
  ExitStatus resolved = local.config.Set(ConfSource::kDefault, "partitions",
                                         std::to_string(options.partitions));
  if (!resolved.ok()) return {resolved.code, resolved.message};
  resolved = ResolveConfig(flags, context.options(), &local.config);
  if (!resolved.ok()) return {resolved.code, resolved.message};
  context.Freeze();
  auto started = LocalJob::Start(context, std::move(local));
  if (!started.ok()) return OfUser(started.status());
  job = *std::move(started);
  if (!job->AwaitSettled()) return Ending();
  const int64_t last_ms = job->Status().last_decided_batch_ms();
  if (last_ms > clock.WallMs()) clock.SetWallMs(last_ms);  // an earlier context's
  return {};
}

TestContext::TestContext(TestOptions options)
    : state_(std::make_unique<State>(std::move(options))) {}
TestContext::~TestContext() = default;

StreamingContext& TestContext::ssc() { return state_->context; }

Outcome TestContext::RunBatchAfter(int ticks) {
  if (state_->job == nullptr) {
    Outcome started = state_->Start();
    if (!started.ok()) return started;
  }
  const Outcome declared = state_->context.Check();
  if (!declared.ok()) return declared;
  {
    std::lock_guard lock(state_->mutex);
    state_->printed.clear();
  }
  state_->clock.Advance(ticks * state_->options.batch_interval.count() * 1000);
  state_->batch_ms = state_->clock.WallMs();
  return state_->job->AwaitSettled() ? Outcome() : state_->Ending();
}

Outcome TestContext::ReplayLetters() {
  if (state_->job == nullptr) return {1, "no batch has run yet"};
  const auto answer = state_->job->ReplayLetters();
  if (!answer.ok()) return {1, std::string(Message(answer.status()))};
  return {answer->refused().empty() ? 0 : 1, answer->refused()};
}

int64_t TestContext::batch_ms() const { return state_->batch_ms; }

std::string TestContext::printed() const {
  std::lock_guard lock(state_->mutex);
  return state_->printed;
}

}  // namespace sluice
