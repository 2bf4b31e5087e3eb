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
  // False: the job has ended.
  bool Settle(int ticks);
  Outcome Stop(StopOptions how);
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

// The job of a context whose clock only RunBatch and Stop move.
class TestContext::Runner final : public JobRunner {
 public:
  explicit Runner(State& state) : state_(state) {}

  Outcome Start(StreamingContext&) override { return state_.Start(); }
  std::optional<Outcome> Await(std::optional<std::chrono::milliseconds> timeout) override {
    const std::optional<JobEnding> ending = state_.job->Await(0);
    if (ending.has_value()) return OfUser(*ending);
    if (timeout.has_value()) return std::nullopt;
    return Outcome{3, "the time of a TestContext stands still: end its job with Stop"};
  }
  Outcome Stop(StopOptions options) override { return state_.Stop(options); }

 private:
  State& state_;
};

Outcome TestContext::State::Start() {
  // A program that has not set up logging is spared what is only for information.
  if (!google::IsGoogleLoggingInitialized()) FLAGS_minloglevel = google::WARNING;
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
  auto started = LocalJob::Start(context, std::move(local));
  if (!started.ok()) return OfUser(started.status());
  job = *std::move(started);
  if (!job->AwaitSettled()) return Ending();
  const int64_t last_ms = job->Status().last_decided_batch_ms();
  if (last_ms > clock.WallMs()) clock.SetWallMs(last_ms);  // an earlier context's
  return {};
}

bool TestContext::State::Settle(int ticks) {
  {
    std::lock_guard lock(mutex);
    printed.clear();
  }
  clock.Advance(ticks * options.batch_interval.count() * 1000);
  batch_ms = clock.WallMs();
  return job->AwaitSettled();
}

Outcome TestContext::State::Stop(StopOptions how) {
  constexpr int kTicksMax = 1000;
  StopRequested stop;
  stop.cancel = !how.drain;
  stop.deadline_us = kTicksMax * options.batch_interval.count() * 1000;
  job->RequestStop(stop);
  // A drain ends with a last batch, as soon as receivers have ended.
  if (job->AwaitSettled()) {
    while (Settle(1)) {}
  }
  return Ending();
}

TestContext::TestContext(TestOptions options)
    : state_(std::make_unique<State>(std::move(options))) {}
TestContext::~TestContext() = default;

StreamingContext& TestContext::ssc() { return state_->context; }

Outcome TestContext::RunBatchAfter(int ticks) {
  StreamingContext& context = state_->context;
  const Outcome declared = context.Check();
  if (!declared.ok()) return declared;
  if (state_->job == nullptr) {
    if (context.state() != ContextState::kInitialized) {
      return {3, "the job is started by the first batch, and its context was started or stopped"};
    }
    const Outcome started = context.StartBy(std::make_unique<Runner>(*state_));
    if (!started.ok()) return started;
  }
  const bool ended = state_->job->Await(0).has_value();
  if (!ended && state_->Settle(ticks)) return {};
  const Outcome ending = state_->Ending();
  return ending.ok() ? Outcome{3, "the job was stopped and runs no more batches"} : ending;
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
