#include "driver/job/job_driver.h"

#include <algorithm>
#include <utility>

#include "checkpoint/errors.h"
#include "common/kill_point.h"
#include "common/status.h"
#include "driver/job/directory_listing.h"
#include "checkpoint/received_objects.h"
#include "driver/job/publication.h"
#include "driver/job/received_collection.h"
#include "glog/logging.h"

namespace sluice {
namespace {

constexpr int64_t kLogRetryUs = 500'000;

// The places that an append of these entries passes once it is durable.
std::vector<KillPoint> PlacesBehind(const std::vector<proto::Entry>& entries) {
  std::vector<KillPoint> places;
  if (!KillPointsArmed()) return places;
  for (const proto::Entry& entry : entries) {
    if (entry.has_block_added()) places.push_back(KillPoint::kReceivedLogged);
    if (entry.has_planned()) places.push_back(KillPoint::kPlanLogged);
    if (entry.has_decided()) places.push_back(KillPoint::kDecidedLogged);
    if (entry.has_published()) places.push_back(KillPoint::kPublishedLogged);
    if (entry.has_sealed()) places.push_back(KillPoint::kSealedLogged);
  }
  return places;
}

}  // namespace

absl::StatusOr<std::unique_ptr<JobDriver>> JobDriver::Open(JobDriverParts parts) {
  CheckpointStore checkpoints(parts.objects, parts.codec);
  Clock* clock = parts.clock;
  absl::StatusOr<OpenedJob> opened =
      OpenJob(parts.log_store, &checkpoints, parts.known_job, parts.random(),
              [clock] { return clock->MonotonicUs(); });
  if (!opened.ok()) return opened.status();
  return std::unique_ptr<JobDriver>(new JobDriver(std::move(parts), *std::move(opened)));
}

JobDriver::JobDriver(JobDriverParts parts, OpenedJob opened)
    : parts_(std::move(parts)),
      opened_(std::move(opened)),
      checkpoints_(parts_.objects, parts_.codec),
      collector_(&checkpoints_),
      files_(opened_.job.epoch, parts_.overwrite),
      folders_(parts_.graph, opened_.job.epoch),
      loop_({.name = "job-core", .clock = parts_.clock}),
      log_loop_({.name = "job-log"}),
      io_loop_({.name = "job-io"}),
      store_loop_({.name = "job-store"}),
      output_loop_({.name = "job-output"}),
      probe_loop_({.name = "job-probe"}),
      user_loop_({.name = "job-user"}),
      news_(parts_.graph, parts_.clock, parts_.listeners) {}

JobDriver::~JobDriver() { Stop(); }

void JobDriver::Stop() {
  loop_.Stop();
  probe_loop_.Stop();
  folders_.Unmark();  // before what may never end
  log_loop_.Stop();
  io_loop_.Stop();
  store_loop_.Stop();
  output_loop_.Stop();
  user_loop_.Stop();
}

void JobDriver::Start(JobDriverOptions options, proto::ExecutorInit init, Transport* transport) {
  loop_.Post([this, options = std::move(options), init = std::move(init), transport]() mutable {
    transport_ = transport;
    options_ = std::move(options);
    options_.objects = parts_.objects->Where();
    core_ = std::make_unique<JobDriverCore>(options_, *parts_.graph, std::move(init), opened_.job,
                                            parts_.random);
    Step(TimerDue{parts_.clock->WallMs()});
  });
}

void JobDriver::OnMessage(const std::string& from, proto::Envelope message) {
  Feed(MessageIn{from, std::move(message)});
}

void JobDriver::OnPeerDown(const std::string& address, bool refused) {
  Feed(PeerDown{address, refused});
}

void JobDriver::RequestStop(const StopRequested& stop) { Feed(stop); }

std::optional<JobEnding> JobDriver::Await(int64_t milliseconds) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto ended = [this] { return ending_.has_value(); };
  if (milliseconds < 0) {
    ended_.wait(lock, ended);
  } else {
    ended_.wait_for(lock, std::chrono::milliseconds(milliseconds), ended);
  }
  return ending_;
}

proto::JobStatus JobDriver::Status() {
  proto::JobStatus status;
  loop_.Post([this, &status] {
    if (core_) status = core_->Status();
  });
  loop_.Sync();
  return status;
}

void JobDriver::Feed(DriverEvent event) {
  loop_.PostNow([this, event = std::move(event)]() mutable {
    if (core_) Step(event);
  });
}

void JobDriver::Step(const DriverEvent& event) {
  std::vector<DriverCommand> commands = core_->Step(parts_.clock->MonotonicUs(), event);
  for (DriverCommand& command : commands) Carry(std::move(command));
  ArmTimer();
  if (settling_) TellSettled();
  // Where time stands still nothing is due later: what a timer would do is done after each event.
  const bool timer = std::holds_alternative<TimerDue>(event);
  if (settling_ && !timer && parts_.clock->manual()) Feed(TimerDue{parts_.clock->WallMs()});
}

bool JobDriver::AwaitSettled() {
  std::unique_lock<std::mutex> lock(mutex_);
  settled_ = false;
  loop_.PostNow([this] {
    settling_ = true;
    if (core_ != nullptr) Step(TimerDue{parts_.clock->WallMs()});
  });
  ended_.wait(lock, [this] { return settled_ || ending_.has_value(); });
  return !ending_.has_value();
}

void JobDriver::TellSettled() {
  if (core_ == nullptr || !core_->Settled(parts_.clock->MonotonicUs())) return;
  settling_ = false;
  std::lock_guard<std::mutex> lock(mutex_);
  settled_ = true;
  ended_.notify_all();
}

void JobDriver::ArmTimer() {
  if (core_->ended()) return;
  const MonotonicTime at = core_->NextTimer(parts_.clock->MonotonicUs());
  if (timer_.has_value()) {
    if (timer_->at <= at) return;
    loop_.Cancel(*timer_);
  }
  timer_ = loop_.RunAt(at, [this] {
    timer_.reset();
    Step(TimerDue{parts_.clock->WallMs()});
  });
}

void JobDriver::Carry(DriverCommand command) {
  if (auto* send = std::get_if<sluice::Send>(&command)) {
    transport_->Send(send->to, std::move(send->message));
  } else if (auto* append = std::get_if<AppendEntries>(&command)) {
    Append(std::move(*append));
  } else if (const auto* list = std::get_if<ListSources>(&command)) {
    io_loop_.Post([this, list = *list] {
      SourcesListed listed = List(list);
      if (parts_.graph->batch_values().empty()) return Feed(std::move(listed));
      user_loop_.Post([this, listed = std::move(listed)]() mutable {
        AskValues(listed);
        Feed(std::move(listed));
      });
    });
  } else if (const auto* batch = std::get_if<BatchNews>(&command)) {
    news_.Tell(*batch);
  } else if (const auto* output = std::get_if<OutputNews>(&command)) {
    news_.Tell(*output);
  } else if (const auto* receiver = std::get_if<ReceiverNews>(&command)) {
    news_.Tell(*receiver);
  } else if (const auto* mark = std::get_if<MarkOutputs>(&command)) {
    probe_loop_.Post([this, mark = *mark] { Feed(folders_.Mark(mark)); });
  } else if (std::holds_alternative<UnmarkOutputs>(command)) {
    probe_loop_.Post([this] { folders_.Unmark(); });
  } else if (auto* publish = std::get_if<PublishOutput>(&command)) {
    output_loop_.Post([this, publish = std::move(*publish)] { Publish(publish); });
  } else if (auto* roll = std::get_if<RollOutput>(&command)) {
    output_loop_.Post([this, roll = std::move(*roll)] {
      Feed(files_.Roll(roll, parts_.graph->outputs().at(roll.output)));
    });
  } else if (auto* run = std::get_if<RunForeach>(&command)) {
    user_loop_.Post([this, run = std::move(*run)] { Foreach(run); });
  } else if (auto* put = std::get_if<PutManifest>(&command)) {
    store_loop_.Post([this, put = std::move(*put)] { Put(put); });
  } else if (auto* keep = std::get_if<KeepAside>(&command)) {
    store_loop_.Post([this, keep = std::move(*keep)] { Keep(keep); });
  } else if (const auto* collect = std::get_if<CollectStore>(&command)) {
    store_loop_.Post([this, below = collect->below_slot] { Collect(below); });
  } else if (const auto* say = std::get_if<Say>(&command)) {
    const auto level = say->level == Say::Level::kInfo      ? google::INFO
                       : say->level == Say::Level::kWarning ? google::WARNING
                                                            : google::ERROR;
    google::LogMessage(__FILE__, __LINE__, level).stream()
        << "job " << options_.job << " epoch " << opened_.job.epoch << ": " << say->text;
  } else if (const auto* end = std::get_if<EndJob>(&command)) {
    std::lock_guard<std::mutex> lock(mutex_);
    ending_ = JobEnding{end->exit_code, end->state, end->message};
    ended_.notify_all();
  }
}

void JobDriver::Append(AppendEntries append) {
  std::vector<std::string> entries;
  entries.reserve(append.entries.size());
  for (const proto::Entry& entry : append.entries) entries.push_back(entry.SerializeAsString());
  log_loop_.Post([this, entries = std::move(entries),
                  places = PlacesBehind(append.entries)]() mutable {
    absl::StatusOr<LogPosition> position = opened_.log->Append(std::move(entries));
    if (position.ok()) std::ranges::for_each(places, Pass);
    FinishAppend(std::move(position));
  });
}

void JobDriver::FinishAppend(absl::StatusOr<LogPosition> position) {
  if (position.ok()) {
    Feed(LogDurable{position->slot, position->checksum});
    return;
  }
  if (opened_.log->ended()) {
    const int code = ExitCodeOf(position.status());
    Feed(LogFailed{code != 0 ? code : kExitFailed, std::string(position.status().message())});
    return;
  }
  // A full disk or a store that is away: nothing is acknowledged or decided until it is back.
  LOG_EVERY_N(ERROR, 10) << "the driver log cannot be written and is tried again: "
                         << position.status();
  log_loop_.RunAfter(kLogRetryUs, [this] { FinishAppend(opened_.log->Retry()); });
}

SourcesListed JobDriver::List(const ListSources& list) {
  SourcesListed listed;
  listed.batch_ms = list.batch_ms;
  for (const Node& node : parts_.graph->nodes()) {
    if (node.kind != NodeKind::kSource) continue;
    if (node.source.kind == SourceKind::kFiles) {
      ListRules rules;
      if (!node.source.existing_files) rules.from_ns = list.zero_ms * 1'000'000;
      if (options_.file_settle_ms > 0) {
        rules.to_ns = (parts_.clock->WallMs() - options_.file_settle_ms) * 1'000'000;
      }
      Listing listing = ListDirectory(node.source, rules);
      listed.files[node.id] = std::move(listing.files);
      if (!listing.error.empty()) listed.errors[node.id] = std::move(listing.error);
      if (!listed_before_ && !opened_.job.state.begun()) {
        LOG(INFO) << listed.files[node.id].size() << " files are in " << node.source.directory
                  << " at the first start";
      }
    } else if (node.source.kind == SourceKind::kQueue) {
      std::vector<proto::InlineRecords>& queued = listed.queued[node.id];
      std::optional<std::string> next = node.source.queue->Next(list.batch_ms);
      if (!next.has_value()) continue;
      std::vector<uint32_t> scratch;
      const std::optional<BatchView> view = DecodeBatch(*next, scratch);
      CHECK(view.has_value()) << "a queue gave what is no record batch";
      proto::InlineRecords records;
      records.set_records(view->count);
      records.set_batch(std::move(*next));
      queued.push_back(std::move(records));
    }
  }
  listed_before_ = true;
  return listed;
}

// The functions are the user's.
void JobDriver::AskValues(SourcesListed& listed) {
  for (const BatchValueSpec& value : parts_.graph->batch_values()) {
    try {
      listed.values.push_back(value.function(listed.batch_ms));
    } catch (const std::exception& e) {
      listed.error = "batch value " + value.name + " threw: " + e.what();
      return;
    } catch (...) {
      listed.error = "batch value " + value.name + " threw something that is no std::exception";
      return;
    }
  }
}

void JobDriver::Publish(const PublishOutput& publish) {
  const Output& output = parts_.graph->outputs().at(publish.staged.output());
  if (WritesFiles(output.kind)) return Feed(files_.Publish(publish, output));
  PublishDone done{publish.batch_ms, output.id, "", false};
  if (output.kind == OutputKind::kPrint) {
    const absl::Status printed =
        parts_.print(FormatPrinted(publish.batch_ms, publish.staged, output.print_limit));
    if (!printed.ok()) done.error = Message(printed);
  }
  Feed(std::move(done));
}

void JobDriver::Foreach(const RunForeach& run) {
  const Output& output = parts_.graph->outputs().at(run.output);
  ForeachDone done{run.batch_ms, run.output, run.generation, ""};
  std::vector<std::vector<uint32_t>> scratch(run.parts.size());
  std::vector<BatchView> views;
  for (size_t i = 0; i < run.parts.size(); ++i) {
    const std::optional<BatchView> view = DecodeBatch(run.parts[i], scratch[i]);
    if (!view.has_value()) {
      done.error = "a part of output " + output.label + " cannot be decoded";
      Feed(done);
      return;
    }
    views.push_back(*view);
  }
  TaskContext context;
  context.batch_ms = run.batch_ms;
  context.job_instance = run.job_instance;
  context.fence = FenceOf(opened_.job.epoch, run.generation);
  context.values = run.values;
  try {
    const CurrentTaskScope scope(context);
    output.foreach_batch->Run({context.job_instance, run.output, run.batch_ms, context.fence},
                              views);
  } catch (const std::exception& e) {
    done.error = output.label + " threw: " + e.what();
  } catch (...) {
    done.error = output.label + " threw something that is no std::exception";
  }
  Feed(done);
}

void JobDriver::Put(const PutManifest& put) {
  Manifest manifest;
  manifest.sequence = opened_.next_manifest;
  manifest.job_instance = put.kept.job().job_instance();
  manifest.batch_ms = put.batch_ms;
  manifest.decided = {put.decided_slot, put.decided_checksum};
  for (const auto& chain : put.chains) {
    manifest.chains.push_back({chain.operator_name(), chain.partition(),
                               {chain.parts().begin(), chain.parts().end()}});
  }
  manifest.driver_payload = put.kept.SerializeAsString();
  Pass(KillPoint::kManifestBegun);
  const absl::Status status = checkpoints_.PutManifest(manifest);
  Pass(KillPoint::kManifestPut);
  // A failed put may have taken effect: its sequence is used up either way.
  ++opened_.next_manifest;
  Feed(ManifestPut{put.batch_ms, ManifestName(manifest.sequence),
                   status.ok() ? "" : std::string(status.message())});
}

void JobDriver::Keep(const KeepAside& keep) {
  if (!keep.unless_whole.empty()) {
    const absl::Status looked = checkpoints_.Verify(keep.unless_whole);
    if (looked.ok()) return Feed(KeptAside{keep.name, "", true});
    if (!IsDamaged(looked)) return Feed(KeptAside{keep.name, std::string(looked.message())});
  }
  const absl::Status status = parts_.objects->PutIfAbsent(keep.name, keep.bytes);
  const bool there = status.ok() || absl::IsAlreadyExists(status);
  Feed(KeptAside{keep.name, there ? "" : std::string(status.message())});
}

void JobDriver::Collect(uint64_t below_slot) {
  const absl::StatusOr<Collectable> found = collector_.Find();
  if (!found.ok()) {
    LOG(WARNING) << "nothing is collected: " << found.status();
    return;
  }
  bool all_gone = true;
  for (const std::string& name : found->names) {
    const absl::Status deleted = parts_.objects->Delete(name);
    if (!deleted.ok()) LOG(WARNING) << "cannot delete " << name << ": " << deleted;
    all_gone &= deleted.ok();
    Pass(KillPoint::kObjectCollected);
  }
  // A manifest that is still there keeps its log and its blocks.
  if (found->oldest.empty() || !all_gone) return;
  CollectReceivedBlocks(found->oldest);
  const uint64_t below = std::min(below_slot, found->oldest_slot);
  if (below == 0) return;
  log_loop_.Post([this, below] {
    const absl::Status forgotten = opened_.log->ForgetBelow(below);
    if (!forgotten.ok()) {
      LOG(WARNING) << "cannot collect slots of the log: " << forgotten;
      return;
    }
    Pass(KillPoint::kSlotsForgotten);
    store_loop_.Post([this, below] {  // no append waits for it
      const absl::Status deleted = parts_.log_store->DeleteUpTo(below - 1);
      if (!deleted.ok()) LOG(WARNING) << "cannot collect slots of the log: " << deleted;
    });
  });
}

void JobDriver::CollectReceivedBlocks(const std::string& oldest) {
  const absl::StatusOr<std::vector<ObjectInfo>> listed = parts_.objects->List(kReceivedFolder);
  if (!listed.ok() || listed->empty()) return;
  const absl::StatusOr<Manifest> manifest = checkpoints_.ReadManifest(oldest);
  proto::DriverState kept;
  if (!manifest.ok() || !kept.ParseFromString(manifest->driver_payload)) return;
  ReceivedCollection collection = CollectReceived(*listed, kept);
  for (const std::string& name : collection.needless) {
    const absl::Status deleted = parts_.objects->Delete(name);
    if (!deleted.ok()) LOG(WARNING) << "cannot delete " << name << ": " << deleted;
    Pass(KillPoint::kReceivedCollected);
  }
  if (!collection.unknown.empty()) Feed(ReceivedOrphans{std::move(collection.unknown)});
}

}  // namespace sluice
