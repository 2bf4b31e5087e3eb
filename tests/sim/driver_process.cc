#include "tests/sim/driver_process.h"

#include <cstdio>
#include <utility>

#include "checkpoint/errors.h"
#include "checkpoint/received_objects.h"
#include "common/delta_stream.h"
#include "common/status.h"
#include "driver/job/received_collection.h"

namespace sluice::sim {
namespace {

constexpr int64_t kLogRetryUs = 500'000;

}  // namespace

DriverProcess::DriverProcess(Site* site, std::string daemon_address, Ended ended)
    : site_(site),
      daemon_address_(std::move(daemon_address)),
      ended_(std::move(ended)),
      address_(site->world.Attach("hd", "-driver", this)),
      checkpoints_(&site->objects, site->codec.get()),
      collector_(&checkpoints_) {}

DriverProcess::~DriverProcess() { site_->world.Detach(address_); }

void DriverProcess::Start() {
  World& world = site_->world;
  SetLogFaults();
  site_->SetReadFaults();
  absl::StatusOr<OpenedJob> opened =
      OpenJob(&site_->log, &checkpoints_, /*known=*/false, world.random.Next(),
              [&world] { return world.now(); });
  site_->objects.SetFaults({});
  if (!opened.ok()) {
    const int code = IsDamaged(opened.status()) ? 8 : IsFenced(opened.status()) ? 7 : 1;
    ended_(code, std::string(Message(opened.status())));
    return;
  }
  opened_ = *std::move(opened);
  site_->epoch = epoch();
  if (opened_.job.manifest_ms != 0) world.Count("recovery: job driver restored from a manifest");
  if (opened_.job.fell_back) world.Count("recovery: fell back to an older checkpoint");
  JobDriverOptions options;
  options.job = "job";
  options.daemon_address = daemon_address_;
  options.own_address = address_;
  options.binary_digest = "digest";
  options.batch_interval_ms = site_->knobs.batch_interval_ms;
  options.partitions = site_->knobs.partitions;
  options.lease_us = site_->knobs.lease_us;
  options.replication = 2;
  options.replication_min = site_->knobs.received_log ? 1 : site_->knobs.replication_min;
  if (site_->knobs.received_log) options.received_log = "the store";
  options.skip_failed_batches = true;
  if (site_->knobs.bad_records_aside) options.bad_records_max = 5;
  options.deltas = site_->knobs.deltas;
  options.straggler_copies = site_->knobs.straggler_copies;
  options.checkpoint_interval_ms = site_->knobs.checkpoint_interval_ms;
  options.batches_in_flight_max = site_->knobs.in_flight_max;
  options.batches_undecided_max = site_->knobs.undecided_max;
  options.backpressure = site_->knobs.backpressure;
  ChooseShape(options);
  proto::ExecutorInit init;
  (*init.mutable_conf())["batch_interval_ms"] = std::to_string(options.batch_interval_ms);
  core_ = std::make_unique<JobDriverCore>(options, *site_->graph, std::move(init),
                                          opened_.job, [&world] { return world.random.Next(); });
  world.Trace(address_, "opens epoch " + std::to_string(epoch()));
  Feed(TimerDue{site_->WallMs()});
}

// As the driver role does: a former shape is left when all that was planned in it is finished.
void DriverProcess::ChooseShape(JobDriverOptions& options) {
  const JobState& state = opened_.job.state;
  const proto::JobBegun& job = state.job();
  if (!state.begun() || (job.partitions() == options.partitions &&
                         job.batch_interval_ms() == options.batch_interval_ms)) {
    return;
  }
  if (MayReshape(opened_.job, *site_->graph)) {
    site_->world.Count("recovery: batches go on in another shape");
    return;
  }
  finishing_ = options.finish_only = true;
  options.partitions = job.partitions();
  options.batch_interval_ms = job.batch_interval_ms();
}

void DriverProcess::OnMessage(const std::string& from, proto::Envelope message) {
  Feed(MessageIn{from, std::move(message)});
}

void DriverProcess::OnPeerDown(const std::string& address, bool refused) {
  Feed(PeerDown{address, refused});
}

void DriverProcess::Feed(const DriverEvent& event) {
  if (core_ == nullptr) return;
  std::vector<DriverCommand> commands = core_->Step(site_->world.now(), event);
  for (DriverCommand& command : commands) {
    if (const auto* end = std::get_if<EndJob>(&command)) {
      const EndJob copy = *end;
      ended_(copy.exit_code, copy.message);  // this process is no more
      return;
    }
    Carry(command);
  }
  ArmTimer();
}

void DriverProcess::ArmTimer() {
  const int64_t at = core_->NextTimer(site_->world.now());
  if (timer_at_ >= 0 && timer_at_ <= at) return;
  timer_at_ = at;
  After(at - site_->world.now(), [this, timer = ++timer_] {
    if (timer != timer_) return;
    timer_at_ = -1;
    Feed(TimerDue{site_->WallMs()});
  });
}

void DriverProcess::Carry(DriverCommand& command) {
  const int64_t soon = site_->world.random.Between(100, 2'000);
  if (auto* send = std::get_if<sluice::Send>(&command)) {
    if (send->message.has_job_status()) CheckHolders();
    if (send->message.has_replicate_block() &&
        send->message.replicate_block().name().stream() == kDeltaStream) {
      site_->world.Count("recovery: another copy of a delta asked for");
    }
    site_->world.Send(address_, send->to, std::move(send->message));
  } else if (const auto* append = std::get_if<AppendEntries>(&command)) {
    Append(*append);
  } else if (const auto* list = std::get_if<ListSources>(&command)) {
    After(soon, [this, batch_ms = list->batch_ms] { Feed(List(batch_ms)); });
  } else if (std::holds_alternative<MarkOutputs>(command)) {
    After(soon, [this] { Feed(Mark()); });
  } else if (std::holds_alternative<UnmarkOutputs>(command)) {
    site_->marked.erase(epoch());
  } else if (const auto* publish = std::get_if<PublishOutput>(&command)) {
    After(soon, [this, publish = *publish] { Publish(publish); });
  } else if (const auto* roll = std::get_if<RollOutput>(&command)) {
    After(soon, [this, roll = *roll] {
      const PublishDone done = Roll(roll);
      After(200, [this, done] { Feed(done); });
    });
  } else if (auto* run = std::get_if<RunForeach>(&command)) {
    After(soon, [this, run = std::move(*run)] {
      const ForeachDone done = Foreach(run);
      After(200, [this, done] { Feed(done); });
    });
  } else if (const auto* put = std::get_if<PutManifest>(&command)) {
    After(soon, [this, put = *put] {
      const ManifestPut done = Put(put);
      After(500, [this, done] { Feed(done); });
    });
  } else if (const auto* keep = std::get_if<KeepAside>(&command)) {
    After(soon, [this, keep = *keep] {
      const KeptAside kept = Keep(keep);
      After(200, [this, kept] { Feed(kept); });
    });
  } else if (std::holds_alternative<CollectStore>(command)) {
    After(soon, [this] { Collect(); });
  } else if (const auto* say = std::get_if<Say>(&command)) {
    if (say->text.find("instead of taking over their deltas") != std::string::npos) {
      site_->world.Count("recovery: rollback, as deltas were not whole");
    }
    unsigned worker = 0;
    if (std::sscanf(say->text.c_str(), "worker w%u is lost", &worker) == 1) {
      const auto daemon = site_->daemons.find("w" + std::to_string(worker));
      if (daemon != site_->daemons.end()) site_->daemons_lost.insert(daemon->second);
    }
    if (say->text.starts_with("cancelled without a checkpoint")) {
      site_->world.Count("cancel: without a checkpoint");
      cancelled_unsealed_ = true;
    }
    site_->world.Trace(address_, say->text);
  }
}

// What the job driver says of copies is true: each that it counts on is where it counts on it,
// unless the worker's daemon has ended, of which it is yet to hear.
void DriverProcess::CheckHolders() {
  if (epoch() != site_->epoch) return;  // a successor may have had it dropped
  for (const auto& [key, block] : core_->state().blocks()) {
    const ArchivedBlock& archived = site_->blocks[{key.stream, key.incarnation, key.number}];
    for (const std::string& holder : core_->blocks().HoldersOf(key)) {
      const auto daemon = site_->daemons.find(holder);
      const bool known = daemon != site_->daemons.end() &&
                         daemon->second == core_->members().IncarnationOf(holder);
      if (known && !archived.holders.contains(holder)) {
        site_->Break("the job driver counts on " + holder + " for " + ToString(key) +
                     ", which does not have it");
      }
    }
  }
}

// Faults of the log store hold for one operation.
void DriverProcess::SetLogFaults() {
  LogStoreFaults faults;
  if (site_->Chance(site_->world.faults.log_fails)) {
    faults.fail_puts = 1;
    site_->world.Count("log: append failed");
  } else if (site_->Chance(site_->world.faults.log_unknown)) {
    faults.unknown_puts = 1;
    site_->world.Count("log: append of unknown outcome");
  }
  faults.full = site_->log_full;
  site_->log.SetFaults(faults);
}

void DriverProcess::Append(const AppendEntries& append) {
  std::vector<std::string> entries;
  for (const proto::Entry& entry : append.entries) entries.push_back(entry.SerializeAsString());
  int64_t delay = site_->world.random.Between(200, 2'000);
  if (site_->Chance(site_->world.faults.log_slow)) {
    site_->world.Count("log: append slow");
    delay = site_->world.random.Between(10'000, 1'000'000);
  }
  After(delay, [this, entries = std::move(entries)]() mutable {
    SetLogFaults();
    absl::StatusOr<LogPosition> position = opened_.log->Append(std::move(entries));
    After(site_->world.random.Between(100, 3'000), [this, position] { FinishAppend(position); });
  });
}

void DriverProcess::FinishAppend(absl::StatusOr<LogPosition> position) {
  if (position.ok()) {
    Feed(LogDurable{position->slot, position->checksum});
    return;
  }
  if (opened_.log->ended()) {
    const int code = ExitCodeOf(position.status());
    Feed(LogFailed{code != 0 ? code : kExitFailed, std::string(Message(position.status()))});
    return;
  }
  site_->world.Count("recovery: append tried again");
  After(kLogRetryUs, [this] {
    SetLogFaults();
    FinishAppend(opened_.log->Retry());
  });
}

// As one that does what its users are told: it goes by the identity and the fence.
ForeachDone DriverProcess::Foreach(const RunForeach& run) {
  const uint64_t fence = FenceOf(epoch(), run.generation);
  for (uint32_t p = 0; p < run.parts.size(); ++p) {
    std::vector<uint32_t> scratch;
    const auto records = DecodeBatch(run.parts[p], scratch);
    if (!records.has_value()) return {run.batch_ms, run.output, run.generation, "bad part"};
    site_->called.Write({run.job_instance, run.output, run.batch_ms, p, fence}, *records);
  }
  return {run.batch_ms, run.output, run.generation, ""};
}

SourcesListed DriverProcess::List(int64_t batch_ms) const {
  SourcesListed listed;
  listed.batch_ms = batch_ms;
  for (const Node& node : site_->graph->nodes()) {
    if (node.kind != NodeKind::kSource || node.source.kind != SourceKind::kFiles) continue;
    for (const auto& [path, file] : site_->files.input) listed.files[node.id].push_back(file);
  }
  for (const BatchValueSpec& value : site_->graph->batch_values()) {
    listed.values.push_back(value.function(batch_ms));
  }
  return listed;
}

OutputsMarked DriverProcess::Mark() {
  if (site_->Chance(site_->world.faults.outputs_away)) {
    site_->world.Count("output: not marked");
    return {"", {"the disk is away"}, {}};
  }
  site_->marked.insert(epoch());
  OutputsMarked marked;
  for (const Output& output : site_->graph->outputs()) {
    if (WritesFiles(output.kind)) marked.outputs.push_back(output.id);
  }
  return marked;
}

// Made whole under its name, unless it is there; what was staged is gone afterwards.
PublishDone DriverProcess::Roll(const RollOutput& roll) {
  PublishDone done{roll.to_ms, roll.output, "", false};
  if (!site_->log.Rolls(roll.output, roll.from_ms, roll.to_ms)) {
    site_->Break("I3: " + roll.target + " is made before it is logged what it has");
  }
  SimFiles& files = site_->files;
  if (files.rolled.contains(roll.target)) {
    site_->world.Count("recovery: file of several batches made again");
    return done;
  }
  if (site_->Chance(site_->world.faults.objects_fail)) {
    site_->world.Count("output: file of several batches not made");
    done.error = "the disk is away";
    return done;
  }
  SimFiles::Rolled file{roll.output, roll.from_ms, roll.to_ms, {}};
  for (const proto::StagedOutput& staged : roll.staged) {
    if (staged.staged_path().empty()) continue;
    const auto parts = files.staged.find(staged.staged_path());
    if (parts == files.staged.end()) {
      done.fatal = true;
      done.error = "staged output " + staged.staged_path() + " is missing";
      return done;
    }
    for (const auto& [piece, rows] : parts->second) {
      file.rows.insert(file.rows.end(), rows.begin(), rows.end());
    }
  }
  if (!file.rows.empty()) files.rolled[roll.target] = std::move(file);
  site_->world.Count("output: file of several batches");
  // The answer may be lost with the driver before or after what was staged is deleted.
  if (site_->Chance(0.1)) return done;
  std::erase_if(files.staged, [&](const auto& entry) {
    const size_t slash = entry.first.rfind('/');
    unsigned long long job = 0;
    long long ms = 0;
    unsigned output = 0;
    return std::sscanf(entry.first.c_str() + slash, "/.sluice-%llx-%lld-%u-", &job, &ms,
                       &output) == 3 &&
           output == roll.output && ms <= roll.to_ms;
  });
  return done;
}

ManifestPut DriverProcess::Put(const PutManifest& put) {
  Manifest manifest;
  manifest.sequence = opened_.next_manifest++;
  manifest.job_instance = put.kept.job().job_instance();
  manifest.batch_ms = put.batch_ms;
  manifest.decided = {put.decided_slot, put.decided_checksum};
  for (const auto& chain : put.chains) {
    manifest.chains.push_back({chain.operator_name(), chain.partition(),
                               {chain.parts().begin(), chain.parts().end()}});
  }
  manifest.driver_payload = put.kept.SerializeAsString();
  if (!site_->log.decided().contains(put.batch_ms)) {
    site_->Break("I6: a manifest of an undecided batch");
  }
  site_->SetObjectFaults();
  const absl::Status status = checkpoints_.PutManifest(manifest);
  site_->objects.SetFaults({});
  return {put.batch_ms, ManifestName(manifest.sequence),
          status.ok() ? "" : std::string(Message(status))};
}

KeptAside DriverProcess::Keep(const KeepAside& keep) {
  if (!keep.unless_whole.empty() && checkpoints_.Verify(keep.unless_whole).ok()) {
    return {keep.name, "", true};
  }
  site_->SetObjectFaults();
  const absl::Status status = site_->objects.PutIfAbsent(keep.name, keep.bytes);
  site_->objects.SetFaults({});
  if (absl::IsAlreadyExists(status)) site_->world.Count("recovery: input kept aside once more");
  const bool there = status.ok() || absl::IsAlreadyExists(status);
  return {keep.name, there ? "" : std::string(Message(status))};
}

void DriverProcess::Collect() {
  const absl::StatusOr<Collectable> found = collector_.Find();
  if (!found.ok() && !site_->damaged.empty()) return;  // until the damaged one has been passed
  if (!found.ok()) {
    site_->Break("collection failed: " + std::string(Message(found.status())));
    return;
  }
  if (!found->names.empty()) site_->world.Count("recovery: checkpoints collected");
  for (const std::string& name : found->names) (void)site_->objects.Delete(name);
  if (found->oldest.empty()) return;
  const auto oldest = checkpoints_.ReadManifest(found->oldest);
  proto::DriverState state;
  if (!oldest.ok() || !state.ParseFromString(oldest->driver_payload)) return;
  const auto listed = site_->objects.List(kReceivedFolder);
  ReceivedCollection collection = CollectReceived(*listed, state);
  if (!collection.needless.empty()) site_->world.Count("received log: blocks collected");
  for (const std::string& name : collection.needless) {
    site_->collected.insert(name);
    (void)site_->objects.Delete(name);
  }
  if (!collection.unknown.empty()) Feed(ReceivedOrphans{std::move(collection.unknown)});
}

}  // namespace sluice::sim
