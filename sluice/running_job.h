// What Stop and the Await functions of a context reach whose job RunJob runs.
#pragma once

#include <functional>
#include <memory>

#include "driver/api/streaming_context.h"
#include "driver/job/commands.h"
#include "sluice/driver_role.h"

namespace sluice {

// The job of this process, for the program's own threads and listeners, which may ask it to stop
// and wait for its end. Thread-safe. Contexts that are attached may outlive it.
class RunningJob {
 public:
  using RequestStop = std::function<void(const StopRequested&)>;

  RunningJob();
  ~RunningJob();  // as an End of a job that could not be started
  RunningJob(const RunningJob&) = delete;
  RunningJob& operator=(const RunningJob&) = delete;

  // Both contexts of the program: it may have kept either. They are active from now on.
  void Attach(BuiltProgram& program);
  // The job takes requests until End; one that was made before is passed on at once.
  void Begin(RequestStop request);
  // Once this has returned no request is made any more.
  void End(const Outcome& outcome);

 private:
  struct Shared;
  class Runner;
  std::shared_ptr<Shared> shared_;
};

}  // namespace sluice
