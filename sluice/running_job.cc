#include "sluice/running_job.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "common/exit_code.h"

namespace sluice {

struct RunningJob::Shared {
  std::mutex mutex;
  std::condition_variable ended;
  std::optional<StopRequested> asked;  // before there was a job
  RequestStop request;
  std::optional<Outcome> ending;

  void Ask(StopOptions options) {
    const std::lock_guard lock(mutex);
    if (ending.has_value()) return;
    StopRequested stop;
    stop.cancel = !options.drain;
    if (request != nullptr) return request(stop);
    if (asked.has_value()) stop.cancel |= asked->cancel;  // no later drain takes that back
    asked = stop;
  }
};

class RunningJob::Runner : public JobRunner {
 public:
  explicit Runner(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  Outcome Start(StreamingContext&) override { return {}; }
  std::optional<Outcome> Await(std::optional<std::chrono::milliseconds> timeout) override {
    std::unique_lock lock(shared_->mutex);
    const auto over = [this] { return shared_->ending.has_value(); };
    if (timeout.has_value()) shared_->ended.wait_for(lock, *timeout, over);
    else shared_->ended.wait(lock, over);
    return shared_->ending;
  }
  Outcome Stop(StopOptions options) override {
    shared_->Ask(options);
    return {};
  }
  bool StopOnlyAsks() const override { return true; }

 private:
  const std::shared_ptr<Shared> shared_;
};

RunningJob::RunningJob() : shared_(std::make_shared<Shared>()) {}
RunningJob::~RunningJob() { End({kExitFailed, "the job could not be started"}); }

void RunningJob::Attach(BuiltProgram& program) {
  for (StreamingContext* context : {program.context.get(), program.second.get()}) {
    context->StartBy(std::make_unique<Runner>(shared_));
    const bool stopped = context->state() == ContextState::kStopped;
    if (stopped) shared_->Ask({});  // before, by the build function perhaps
  }
}

void RunningJob::Begin(RequestStop request) {
  const std::lock_guard lock(shared_->mutex);
  shared_->request = std::move(request);
  if (shared_->asked.has_value()) shared_->request(*shared_->asked);
}

void RunningJob::End(const Outcome& outcome) {
  const std::lock_guard lock(shared_->mutex);
  shared_->request = nullptr;
  if (shared_->ending.has_value()) return;
  shared_->ending = outcome;
  shared_->ended.notify_all();
}

}  // namespace sluice
