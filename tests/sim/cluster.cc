#include "tests/sim/cluster.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <utility>

#include "common/delta_stream.h"
#include "common/exit_code.h"
#include "tests/sim/job.h"

namespace sluice::sim {
namespace {

constexpr int64_t kTellUs = 200'000;
constexpr uint64_t kDaemonLeaseMs = 1'000;
constexpr int64_t kRelaunchUs = 100'000;
constexpr int64_t kReplyPatienceUs = 1'500'000;
constexpr int64_t kFileEveryUs = 700'000;
constexpr int kFileLines = 5;

// Removed with all that is in it when the process ends.
struct ScratchDirectory {
  ScratchDirectory() {
    path = (std::filesystem::temp_directory_path() / "sluice-sim-XXXXXX").string();
    mkdtemp(path.data());
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path); }
  std::string path;
};

// Real files of the run's input, the same for every seed: made once per process, and only read.
ListedFile InputFile(int number) {
  static ScratchDirectory directory;
  static std::mutex mutex;  // seeds run on several threads
  const std::lock_guard<std::mutex> lock(mutex);
  const std::string path = directory.path + "/f" + std::to_string(100 + number);
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    std::ofstream file(path);
    for (int i = 0; i < kFileLines; ++i) {
      file << "file " << 1000 * number + i << "\n";
    }
    file.close();
    if (!file || stat(path.c_str(), &status) != 0) {
      std::fprintf(stderr, "cannot write %s: no seed can be run\n", path.c_str());
      std::filesystem::remove_all(directory.path);
      std::_Exit(1);
    }
  }
  return {path, static_cast<uint64_t>(status.st_size),
          int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

}  // namespace

Cluster::Cluster(Site* site, Random* chaos) : site_(site), chaos_(chaos) {
  address_ = site_->world.Attach("hm", "-cluster", this);
  for (uint32_t i = 0; i < site_->knobs.workers; ++i) {
    workers_.push_back({"h" + std::to_string(i), "w" + std::to_string(i), nullptr});
    StartWorker(i);
  }
  for (uint32_t i = 0; i < site_->knobs.producers; ++i) {
    producers_.push_back({.name = std::string(1, static_cast<char>('a' + i))});
    Produce(i);
  }
  AddFile();
  if (site_->knobs.bad_records_aside) AskForReplay();
  TellMembers();
  LaunchDriver();
  if (site_->knobs.cancelled) {
    Later(site_->world.random.Between(500'000, site_->knobs.faults_until_us - 2'000'000),
          [this] { Cancel(); });
  }
  if (site_->knobs.drained) {
    Later(site_->knobs.faults_until_us - site_->world.random.Between(0, 2'000'000),
          [this] { Drain(); });
  }
  NextDisaster();
}

Cluster::~Cluster() { site_->world.Detach(address_); }

// ---- membership and the job driver -------------------------------------------------------------

void Cluster::OnMessage(const std::string& from, proto::Envelope message) {
  if (members_down_) return;
  if (message.has_job_driver_register()) registered_.insert(from);
  if (message.has_worker_register()) {
    proto::Envelope answer;
    answer.mutable_worker_registered()->set_lease_ms(kDaemonLeaseMs);
    site_->world.Send(address_, from, std::move(answer));
  }
  if (message.has_worker_heartbeat()) TellOver(from, message.worker_heartbeat());
}

// A driver that was replaced and has not noticed hears nothing any more when the job has ended.
void Cluster::TellMembers() {
  if (!members_down_ && !ended_) {
    proto::Envelope message;
    for (const Slot& slot : workers_) {
      if (slot.process != nullptr) {
        *message.mutable_cluster_members()->add_workers() = slot.process->member();
      }
    }
    for (const std::string& driver : registered_) site_->world.Send(address_, driver, message);
    TellStop();
  }
  Later(kTellUs, [this] { TellMembers(); });
}

void Cluster::LaunchDriver() {
  if (ended_) return;
  auto* driver = new DriverProcess(site_, address_, nullptr);
  drivers_.emplace_back(driver);
  driver->SetEnded([this, driver](int code, const std::string& message) {
    DriverEnded(driver, code, message);
  });
  driver->Start();
}

// It is destroyed later: it is on the stack.
void Cluster::DriverEnded(DriverProcess* driver, int code, const std::string& message) {
  site_->world.Trace(driver->address(), "ends " + std::to_string(code) + ": " + message);
  const bool newest = drivers_.back().get() == driver;
  site_->world.Detach(driver->address());
  if (code == 7) {
    site_->world.Count("recovery: a former job driver was fenced");
    if (newest) Later(kRelaunchUs, [this] { LaunchDriver(); });
    return;
  }
  if (code == 1 && driver->core() == nullptr) {  // the store was away
    Later(kRelaunchUs, [this] { LaunchDriver(); });
    return;
  }
  if (code == kExitStartAgain) {
    site_->world.Count(driver->finishing() ? "recovery: former shape finished first"
                                           : "recovery: a damaged checkpoint was set aside");
    Later(kRelaunchUs, [this] { LaunchDriver(); });
    return;
  }
  if (code == 0 && cancelling_ && newest) return Cancelled(*driver);
  if (code == 0 && draining_ && newest) return Drained(*driver);
  // One that was paused before it had planned anything ends as a job that has not run; the driver
  // daemon goes by the word of the newest epoch.
  if (code == 0 && (draining_ || cancelled_) && !newest) return;
  if (code == 5 && ended_ && !newest) return;
  ended_ = true;
  site_->Break("the job has ended with " + std::to_string(code) + ": " + message);
}

void Cluster::StartWorker(size_t index) {
  Slot& slot = workers_[index];
  slot.process = std::make_unique<WorkerProcess>(site_, slot.host, slot.worker_id, address_);
}

std::string Cluster::HeldBlocks() const {
  size_t held = 0;
  std::string first;
  for (const auto& [id, block] : site_->blocks) {
    std::set<std::string> holders = block.holders;
    if (away_.has_value()) {
      if (!site_->log.Added(id)) continue;  // it waits for what only that worker may have
      holders.erase(workers_[*away_].worker_id);  // nobody can tell it
    }
    if (holders.empty()) continue;
    // A job with windows changes its state, and makes deltas, without any input.
    if (std::get<0>(id) == kDeltaStream && !site_->any_interval) continue;
    if (held == 0) {
      first = "block " + std::to_string(std::get<2>(id)) + " of " +
              std::to_string(std::get<1>(id) % 1000) + " on " + *holders.begin();
    }
    held += holders.size();
  }
  return held == 0 ? "" : first + ", and " + std::to_string(held - 1) + " more";
}

uint64_t Cluster::LostRecords() const {
  const JobDriverCore* core = drivers_.empty() ? nullptr : drivers_.back()->core();
  return core == nullptr ? 0 : core->Status().lost_records();
}

ReceiverProcess* Cluster::ReceiverAt(const std::string& address) {
  for (const Slot& slot : workers_) {
    if (slot.process == nullptr) continue;
    for (ReceiverProcess* receiver : slot.process->receivers()) {
      if (receiver->address() == address) return receiver;
    }
  }
  return nullptr;
}

// ---- input ---------------------------------------------------------------------------------

void Cluster::Produce(size_t index) {
  Producer& producer = producers_[index];
  if (producing_) producer.made += site_->world.random.Between(0, 4);
  PushNext(index);
  Later(site_->world.random.Between(20'000, 150'000), [this, index] { Produce(index); });
}

void Cluster::PushNext(size_t index) {
  Producer& producer = producers_[index];
  if (producer.waiting || (producer.sent >= producer.made && !producer.ask_first)) return;
  // Any receiver that it finds, also one that the job driver has given up meanwhile.
  std::vector<std::string> found;
  for (const Slot& slot : workers_) {
    if (slot.process == nullptr || !site_->world.host_up(slot.host)) continue;
    if (StaysAway(slot.host)) continue;  // it is named to nobody by then
    for (ReceiverProcess* receiver : slot.process->receivers()) {
      if (receiver->stream() == site_->plain_stream) continue;
      found.push_back(receiver->address());
    }
  }
  if (found.empty()) return;
  const std::string address = found[site_->world.random.Below(found.size())];
  const uint64_t attempt = ++producer.attempt;
  producer.waiting = true;
  const bool ask = producer.ask_first;
  const int64_t first = producer.sent + 1;
  const int count = static_cast<int>(std::min<int64_t>(producer.made - producer.sent, 6));
  site_->world.After(address, 500, [this, index, attempt, ask, first, count, address] {
    if (ReceiverProcess* receiver = ReceiverAt(address)) {
      auto answer = [this, index, attempt, ask](std::optional<int64_t> last) {
        if (site_->Chance(site_->world.faults.ack_lost)) {
          site_->world.Count("producer: acknowledgement lost");
          return;
        }
        Later(500, [this, index, attempt, last, ask] { OnReply(index, attempt, last, ask); });
      };
      if (ask) {
        receiver->AskLast(producers_[index].name, answer);
      } else {
        receiver->Push(producers_[index].name, first, count, answer);
      }
    }
  });
  Later(kReplyPatienceUs, [this, index, attempt] {
    Producer& late = producers_[index];
    if (!late.waiting || late.attempt != attempt) return;
    site_->world.Count("recovery: producer sent again");
    late.waiting = false;
    late.sent = late.acknowledged;
    late.ask_first = site_->world.random.Chance(0.5);  // else it sends at once what may be there
  });
}

void Cluster::OnReply(size_t index, uint64_t attempt, std::optional<int64_t> last, bool asked) {
  Producer& producer = producers_[index];
  if (!producer.waiting || producer.attempt != attempt) return;
  producer.waiting = false;
  site_->world.Trace("producer " + producer.name,
                     (asked ? "is told " : "stored up to ") +
                         (last.has_value() ? std::to_string(*last) : "nothing"));
  if (!last.has_value()) {
    producer.sent = producer.acknowledged;
    producer.ask_first = true;
    return;
  }
  // A receiver that the job driver has given up may know less; it can do no harm with that.
  if (*last < producer.acknowledged) site_->world.Count("recovery: producer met a stale receiver");
  producer.ask_first = false;
  producer.acknowledged = std::max(producer.acknowledged, *last);
  producer.sent = producer.acknowledged;
  site_->acknowledged[producer.name] = producer.acknowledged;
  if (!asked) PushNext(index);
}

void Cluster::AddFile() {
  if (producing_) {
    const ListedFile file = InputFile(files_++);
    site_->files.input[file.path] = file;
  }
  Later(kFileEveryUs, [this] { AddFile(); });
}

// Where the job's ticks are: the wall clock of a run may have jumped away from them.
int64_t Cluster::TickClockMs(int64_t last_planned_ms) {
  const int64_t now_ms = site_->world.now() / 1000;
  if (last_planned_ms != seen_planned_ms_) {
    seen_planned_ms_ = last_planned_ms;
    seen_at_ms_ = now_ms;
  }
  return seen_planned_ms_ + now_ms - seen_at_ms_;
}

std::string Cluster::Unfinished() {
  if (ended_) return "";
  if (cancelling_) return "the job is cancelled";
  if (draining_) return "the job is drained";
  for (const Producer& producer : producers_) {
    if (producer.acknowledged < producer.made) return "producer " + producer.name;
  }
  const DriverProcess* driver = drivers_.empty() ? nullptr : drivers_.back().get();
  if (driver == nullptr || driver->core() == nullptr) return "no job driver";
  if (driver->finishing()) return "a former shape is being finished";
  const JobState& state = driver->core()->state();
  for (const auto& [path, file] : site_->files.input) {
    if (!state.FileTaken(kFilesNode, path)) return path + " is not taken";
  }
  if (!state.waiting_blocks().empty()) return "blocks wait for a batch";
  if (!state.letters().waiting().empty() || !state.letters().behind().empty()) {
    return "letters wait for a batch";
  }
  // A few batches beyond those with input may always be under way.
  for (const auto& [batch_ms, composition] : state.planned()) {
    bool input = !composition.letters().empty();
    for (const auto& source : composition.sources()) {
      for (const auto& task : source.tasks()) input |= task.pieces_size() > 0;
    }
    if (input && batch_ms > state.last_decided_ms()) {
      return "batch " + std::to_string(batch_ms) + " is not decided";
    }
  }
  const int64_t tick_ms = TickClockMs(state.last_planned_ms());
  for (const auto& [batch_ms, batch] : state.decided()) {
    if ((!batch.unpublished.empty() || batch.letters_unkept) && batch_ms + 2000 < tick_ms) {
      return "batch " + std::to_string(batch_ms) + " is not published";
    }
  }
  return state.last_decided_ms() > 0 ? "" : "nothing is decided";
}

}  // namespace sluice::sim
