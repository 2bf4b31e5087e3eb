#include "driver/daemon/job_life.h"

#include <algorithm>
#include <charconv>

#include "common/role_flags.h"

namespace sluice::daemon {
namespace {

// Of a job whose driver has not registered yet.
constexpr uint32_t kDefaultRestarts = 10;
constexpr uint64_t kDefaultDeadlineMs = 30'000;
constexpr int kSilentLeases = 3;  // after them a driver on another node counts as lost

// Exit codes of the interface. Any other end, by a signal above all, is a crash.
constexpr int kDone = 0, kFailed = 1, kUnreachable = 4, kForced = 5, kDenied = 6, kFenced = 7,
              kDamaged = 8;
bool IsFinal(int exit_code) {
  return exit_code == kDone || exit_code == kFailed || exit_code == 2 || exit_code == 3 ||
         exit_code == kForced || exit_code == kFenced || exit_code == kDamaged;
}

std::string HostOf(const std::string& address) { return address.substr(0, address.rfind(':')); }

std::string Cause(const DriverExited& event) {
  std::string cause = "the job driver ended without a word";
  if (event.signal != 0) {
    cause = "the job driver was killed by signal " + std::to_string(event.signal);
  } else if (event.exit_code) {
    cause = "the job driver ended with exit code " + std::to_string(*event.exit_code);
  }
  // Whoever was killed did not say why.
  bool said = event.exit_code && !event.last_line.empty();
  return said ? cause + ": " + event.last_line : cause;
}

}  // namespace

bool IsEndingState(const std::string& state) {
  return state == "FINISHED" || state == "FAILED" || state == "CANCELLED" || state == "FENCED";
}

void JobLife::Launch(Commands* out) {
  record_.mutable_status()->set_job(name());
  record_.mutable_status()->set_state("WAITING");
  Start(out);
}

void JobLife::Settle(MonotonicTime now) {
  adopted_ = true;
  if (record_.ended()) {
    phase_ = Phase::kEnded;
    return;
  }
  phase_ = Phase::kSettling;
  due_ = now + times_.lease_us;
  if (record_.wish() != proto::JobRecord::RUN) {
    force_at_ = due_ + record_.stop_deadline_ms() * 1000 + times_.force_grace_us;
  }
}

void JobLife::Start(Commands* out) {
  phase_ = Phase::kStarting;
  reported_ = false;
  adopted_ = false;
  far_ = false;
  record_.set_decided_at_launch(record_.status().decided_batches());
  if (!IsNear(record_.host())) record_.clear_folder();
  record_.set_host(host_);
  const bool first = !record_.opened() && !record_.had_log();
  out->push_back(StartDriver{record_.spec(), record_.run(), first, record_.folder()});
}

bool JobLife::NeedsItsLog(const proto::JobSpec& next) const {
  const bool lost = record_.opened() ? record_.status().exit_code() == kDamaged
                                     : record_.had_log();  // and it was not found since
  return ended() && lost && !next.fresh() && !next.checkpoint().empty() &&
         next.checkpoint() == record_.spec().checkpoint();
}

void JobLife::OnTick(MonotonicTime now, Commands* out) {
  if (phase_ == Phase::kSettling && now >= due_) {
    if (record_.pid() == 0) {
      Relaunch(now, "", out);
    } else if (!IsNear(record_.host())) {
      Lose(now, "its driver, which ran on " + record_.host() + ", did not register", out);
    } else {
      phase_ = Phase::kEndingFormer;
      out->push_back(EndFormer{name(), record_.pid(), record_.start_time()});
    }
  }
  if (phase_ == Phase::kBackoff && now >= due_) Start(out);
  if (phase_ == Phase::kUp && far_ && now - heard_ > kSilentLeases * times_.lease_us) {
    Lose(now, "its driver on " + record_.host() + " is silent", out);
  }
  if (phase_ == Phase::kUp && force_at_ != 0 && now >= force_at_ && !forced_) {
    forced_ = true;
    out->push_back(Say{"job " + name() + ": not stopped in time, ending its driver by force"});
    out->push_back(KillDriver{name(), record_.pid(), record_.start_time()});
  }
}

void JobLife::OnStarted(const DriverStarted& event) {
  if (phase_ != Phase::kStarting) return;
  phase_ = Phase::kUp;
  record_.set_pid(event.pid);
  record_.set_start_time(event.start_time);
  if (!event.folder.empty()) record_.set_folder(event.folder);
}

void JobLife::OnNotStarted(MonotonicTime now, const std::string& error, Commands* out) {
  if (phase_ == Phase::kStarting) TryAgain(now, error, out);
}

bool JobLife::IsNear(const std::string& host) const {
  return host_.empty() || host.empty() || host == host_;
}

// The log decides between a driver that may still run there and the one that is started here.
void JobLife::Lose(MonotonicTime now, const std::string& why, Commands* out) {
  far_ = false;
  lost_ = true;
  record_.set_pid(0);
  Relaunch(now, why, out);
}

bool JobLife::OnPeerEnded(MonotonicTime now, const std::string& address, Commands* out) {
  drivers_.erase(address);
  if (phase_ != Phase::kUp || !far_ || address != record_.driver_address()) return false;
  Lose(now, "its driver on " + record_.host() + " has ended", out);
  return true;
}

void JobLife::OnFormerEnded(MonotonicTime now, Commands* out) {
  if (phase_ == Phase::kEndingFormer) Relaunch(now, "", out);
}

void JobLife::Adopt(MonotonicTime now, const std::string& address, int64_t pid, Commands* out) {
  phase_ = Phase::kUp;
  adopted_ = true;
  if (record_.pid() != pid) record_.set_start_time(0);
  record_.set_pid(pid);
  record_.set_driver_address(address);
  far_ = !IsNear(HostOf(address));
  lost_ = false;
  heard_ = now;
  if (far_) {
    if (record_.host() != HostOf(address)) record_.clear_folder();
    record_.set_host(HostOf(address));
    return;
  }
  out->push_back(
      WatchDriver{name(), record_.run(), record_.folder(), pid, record_.start_time()});
}

bool JobLife::OnRegister(MonotonicTime now, const std::string& from,
                         const proto::JobDriverRegister& driver, Commands* out) {
  if (ended()) return false;
  if (far_ && from == record_.driver_address()) heard_ = now;
  drivers_[from] = Incarnation{driver.epoch(), driver.pid()};
  hindered_ = 0;
  bool changed = !record_.opened();
  record_.set_opened(true);
  if (phase_ == Phase::kSettling || phase_ == Phase::kBackoff) {
    out->push_back(Say{"job " + name() + ": its driver runs as process " +
                       std::to_string(driver.pid()) + " and was taken over"});
    Adopt(now, from, driver.pid(), out);
    changed = true;
  }
  if (driver.pid() == record_.pid()) {
    changed |= from != record_.driver_address();
    record_.set_driver_address(from);
    changed |= TakeSettings(driver);
  }
  TellStop(out);
  return changed;
}

// True: they are others than before.
bool JobLife::TakeSettings(const proto::JobDriverRegister& driver) {
  const bool others = driver.has_settings() && driver.settings().SerializeAsString() !=
                                                   record_.settings().SerializeAsString();
  const bool changed = others || record_.job_instance() != driver.job_instance();
  record_.set_job_instance(driver.job_instance());
  if (others) *record_.mutable_settings() = driver.settings();
  return changed;
}

// A job of which no driver has registered may be about to take up its former instance.
bool JobLife::IsOver(uint64_t instance) const {
  return ended() || (record_.job_instance() != 0 && record_.job_instance() != instance);
}

bool JobLife::HasFinished(uint64_t instance) const {
  const std::string& state = record_.status().state();
  return ended() && record_.job_instance() == instance &&
         (state == "FINISHED" || (state == "CANCELLED" && record_.spec().checkpoint().empty()));
}

bool JobLife::OnStatus(MonotonicTime now, const std::string& from, const proto::JobStatus& status,
                       Commands* out) {
  if (ended() || status.epoch() < record_.status().epoch()) return false;
  bool changed = false;
  if (drivers_.count(from) == 0) {
    // The sender cannot know that we forgot it: whoever reports belongs to the job.
    drivers_[from] = Incarnation{status.epoch(), phase_ == Phase::kUp ? record_.pid() : 0};
    changed = phase_ == Phase::kSettling && record_.pid() != 0;
    if (changed) Adopt(now, from, record_.pid(), out);
  }
  const bool own_far = far_ && from == record_.driver_address();
  if (own_far) heard_ = now;
  changed = changed || status.state() != record_.status().state() ||
            !std::equal(status.binaries().begin(), status.binaries().end(),
                        record_.status().binaries().begin(), record_.status().binaries().end());
  *record_.mutable_status() = status;
  record_.mutable_status()->set_job(name());
  reported_ = true;
  if (status.decided_batches() > record_.decided_at_launch() && record_.restarts_in_row() != 0) {
    record_.set_restarts_in_row(0);
    lost_ = false;
    changed = true;
  }
  // Nobody here will see that process end.
  if (own_far && IsEndingState(status.state())) EndBy(status.exit_code(), status.failure(), out);
  return changed;
}

JobLife::Drivers::const_iterator JobLife::OtherThan(int64_t pid) const {
  auto best = drivers_.end();
  for (auto driver = drivers_.begin(); driver != drivers_.end(); ++driver) {
    if (driver->second.pid == pid || driver->second.pid == 0) continue;
    if (best == drivers_.end() || driver->second.epoch > best->second.epoch) best = driver;
  }
  return best;
}

void JobLife::OnExited(MonotonicTime now, const DriverExited& event, Commands* out) {
  std::erase_if(drivers_, [&](const auto& entry) { return entry.second.pid == event.pid; });
  if (ended() || phase_ != Phase::kUp || event.pid != record_.pid()) return;
  if (const auto other = OtherThan(event.pid); other != drivers_.end()) {
    out->push_back(Say{"job " + name() + ": " + Cause(event) + "; another driver has the job"});
    Adopt(now, other->first, other->second.pid, out);
    return;
  }
  drivers_.clear();
  std::optional<int> code = event.exit_code;
  if (!code && reported_ && IsEndingState(record_.status().state())) {
    code = record_.status().exit_code();
  }
  // Whoever submits is told that the store denies the job or is away; a job that has run waits.
  const bool never_began = code && !record_.opened() && (*code == kUnreachable || *code == kDenied);
  // A driver that was given up and lives may hold a log that only one can open: it or this node's
  // next one has the job in the end.
  const bool contested = lost_ && code && *code == kFenced;
  if (code && !contested && (IsFinal(*code) || never_began)) {
    return EndBy(*code, event.last_line, out);
  }
  if (idle_) return End("CANCELLED", kDone, "", out);
  if (forced_) return EndForced(out);
  if (code == kExitUsedUp) return TryAgain(now, Cause(event), out);
  Relaunch(now, Cause(event), out);
}

void JobLife::EndForced(Commands* out) {
  End(record_.wish() == proto::JobRecord::CANCEL ? "CANCELLED" : "FAILED", kForced,
      "stopped by force: the deadline passed", out);
}

void JobLife::EndBy(int exit_code, const std::string& last_line, Commands* out) {
  std::string state = "FAILED";
  if (exit_code == kDone) {
    bool cancelled = record_.wish() == proto::JobRecord::CANCEL;
    state = cancelled || record_.status().state() == "CANCELLED" ? "CANCELLED" : "FINISHED";
  } else if (exit_code == kFenced) {
    state = "FENCED";
  } else if (exit_code == kForced && record_.wish() == proto::JobRecord::CANCEL) {
    state = "CANCELLED";
  }
  // What the present job driver said of its end, or else its last line. Of a former one the status
  // says why it was started again.
  const bool said = reported_ && IsEndingState(record_.status().state());
  std::string failure = said ? record_.status().failure() : "";
  if (exit_code != kDone && failure.empty()) failure = last_line;
  if (exit_code != kDone && failure.empty()) {
    failure = "the job driver ended with exit code " + std::to_string(exit_code);
  }
  End(state, exit_code, failure, out);
}

bool JobLife::EndIfHopeless(Commands* out) {
  bool stopping = record_.wish() == proto::JobRecord::CANCEL;
  if (stopping && !record_.opened()) {
    End("CANCELLED", kDone, "", out);
  } else if (record_.opened() && record_.spec().checkpoint().empty() && !IsNear(record_.host())) {
    End("FAILED", kDamaged,
        "the job has no --checkpoint, and its log is in " + record_.folder() + " on " +
            record_.host() + ", which is away",
        out);
  }
  return ended();
}

void JobLife::TryAgain(MonotonicTime now, const std::string& cause, Commands* out) {
  if (EndIfHopeless(out)) return;
  if (force_at_ != 0 && now >= force_at_) return EndForced(out);
  BackOff(now, ++hindered_, cause, out);
}

void JobLife::Relaunch(MonotonicTime now, const std::string& cause, Commands* out) {
  if (EndIfHopeless(out)) return;
  uint32_t in_row = record_.restarts_in_row() + 1;
  if (in_row > RestartsMax()) {
    return End("FAILED", kFailed,
               "the job driver ended " + std::to_string(in_row) +
                   " times in a row without a decided batch; last: " + cause,
               out);
  }
  record_.set_restarts(record_.restarts() + 1);
  record_.set_restarts_in_row(in_row);
  hindered_ = 0;
  BackOff(now, in_row, cause, out);
}

void JobLife::BackOff(MonotonicTime now, uint32_t in_row, const std::string& cause,
                      Commands* out) {
  drivers_.clear();
  reported_ = false;
  record_.set_pid(0);
  record_.mutable_status()->set_state(record_.opened() ? "RECOVERING" : "WAITING");
  record_.mutable_status()->set_failure(cause);
  record_.mutable_status()->clear_receivers();
  MonotonicTime wait = times_.backoff_first_us;
  for (uint32_t i = 1; i < in_row && wait < times_.backoff_last_us; ++i) wait *= 2;
  phase_ = Phase::kBackoff;
  due_ = now + std::min(wait, times_.backoff_last_us);
  if (!cause.empty()) {
    out->push_back(Say{"job " + name() + ": " + cause + "; attempt " + std::to_string(in_row) +
                       " to start it again"});
  }
}

void JobLife::End(const std::string& state, int exit_code, const std::string& failure,
                  Commands* out) {
  phase_ = Phase::kEnded;
  record_.set_ended(true);
  record_.clear_slots();
  record_.set_pid(0);
  proto::JobStatus* status = record_.mutable_status();
  status->set_state(state);
  status->set_exit_code(exit_code);
  status->set_failure(failure);
  status->clear_receivers();
  drivers_.clear();
  std::string why = failure.empty() ? "" : ": " + failure;
  out->push_back(Say{"job " + name() + ": " + state + " (exit code " + std::to_string(exit_code) +
                     ")" + why});
}

void JobLife::Stop(MonotonicTime now, bool drain, uint64_t deadline_ms, Commands* out) {
  if (record_.wish() == proto::JobRecord::CANCEL && drain) return;
  record_.set_wish(drain ? proto::JobRecord::DRAIN : proto::JobRecord::CANCEL);
  if (deadline_ms == 0) deadline_ms = record_.settings().drain_deadline_ms();
  if (deadline_ms == 0) deadline_ms = kDefaultDeadlineMs;
  record_.set_stop_deadline_ms(deadline_ms);
  force_at_ = now + static_cast<MonotonicTime>(deadline_ms) * 1000 + times_.force_grace_us;
  bool nothing_begun = !record_.opened() && phase_ == Phase::kBackoff;
  if (nothing_begun) return End("CANCELLED", kDone, "", out);
  // A job that waits for slots has nothing under way that could be ended in order.
  bool waits = phase_ == Phase::kUp && record_.status().state() == "WAITING" &&
               record_.slots().empty();
  if (waits && !drain) {
    forced_ = idle_ = true;
    out->push_back(KillDriver{name(), record_.pid(), record_.start_time()});
    return;
  }
  TellStop(out);
}

void JobLife::TellStop(Commands* out) const {
  if (record_.wish() == proto::JobRecord::RUN) return;
  proto::Envelope message;
  message.mutable_job_stop()->set_drain(record_.wish() == proto::JobRecord::DRAIN);
  message.mutable_job_stop()->set_deadline_ms(record_.stop_deadline_ms());
  Tell(message, out);
}

void JobLife::Tell(const proto::Envelope& message, Commands* out) const {
  for (const auto& [address, driver] : drivers_) out->push_back(Send{address, message});
}

uint32_t JobLife::RestartsMax() const {
  if (record_.has_settings()) return record_.settings().driver_restarts();
  auto conf = record_.spec().conf().find("driver_restarts");
  if (conf == record_.spec().conf().end()) return kDefaultRestarts;
  uint32_t value = kDefaultRestarts;
  const std::string& text = conf->second;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

proto::JobInfo JobLife::Info() const {
  proto::JobInfo info;
  *info.mutable_status() = record_.status();
  info.mutable_status()->set_job(name());
  info.set_driver_pid(record_.pid());
  info.set_driver_restarts(record_.restarts());
  info.set_reported(reported_);
  info.set_ended(ended());
  info.set_run(record_.run());
  info.set_checkpoint(record_.spec().checkpoint());
  info.set_host(record_.host());
  info.set_folder(record_.folder());
  info.set_submitted_ms(record_.submitted_ms());
  return info;
}

}  // namespace sluice::daemon
