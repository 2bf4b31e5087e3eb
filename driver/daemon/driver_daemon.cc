#include "driver/daemon/driver_daemon.h"

#include <glog/logging.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "checkpoint/checkpoint_url.h"
#include "common/exit_code.h"
#include "common/http.h"
#include "common/net/grpc_transport.h"
#include "common/role_flags.h"
#include "common/status.h"
#include "driver/daemon/driver_service.h"
#include "driver/daemon/status_json.h"
#include "driver/daemon/table_store.h"

namespace sluice::daemon {
namespace {

constexpr int64_t kTickUs = 50'000;
constexpr int64_t kCollectUs = 2'000'000;

proto::Outcome NotAnswered(const std::string& why) {
  proto::Outcome outcome;
  outcome.set_exit_code(kExitUnreachable);
  outcome.set_message(why);
  return outcome;
}

}  // namespace

DriverDaemon::DriverDaemon(DriverDaemonOptions options) : options_(std::move(options)) {}

absl::StatusOr<std::unique_ptr<DriverDaemon>> DriverDaemon::Start(DriverDaemonOptions options) {
  std::unique_ptr<DriverDaemon> daemon(new DriverDaemon(std::move(options)));
  RETURN_IF_ERROR(daemon->Begin());
  return daemon;
}

absl::Status DriverDaemon::Begin() {
  ASSIGN_OR_RETURN(folder_, DataFolder::Open(options_.data_dir));
  ASSIGN_OR_RETURN(former_, folder_->LoadTable());
  ASSIGN_OR_RETURN(binaries_, BinaryStore::Open(folder_->binaries()));
  if (options_.store.empty()) {
    core_ = std::make_unique<DaemonCore>(options_.times, RealClock().MonotonicUs(), former_);
    leader_.self = true;
  } else {
    ASSIGN_OR_RETURN(store_, OpenTableStore(options_.store, options_.lease_us / 3));
  }
  service_ = std::make_unique<DriverService>(this);
  EventLoop::Options loop;
  loop.name = "driver daemon";
  loop_ = std::make_unique<EventLoop>(loop);
  // Peers may speak up while we are still on our feet only halfway: the loop waits for us.
  std::promise<void> standing;
  absl::Cleanup stand = [&standing] { standing.set_value(); };
  loop_->PostNow([begun = standing.get_future().share()] { begun.wait(); });

  GrpcTransportOptions transport;
  transport.host = options_.host;
  transport.port = options_.port;
  transport.advertise = options_.advertise;
  transport.security = options_.security;
  transport.services = {service_.get()};
  ASSIGN_OR_RETURN(transport_, GrpcTransport::Start(std::move(transport), this));
  blocks_.SetTransport(transport_.get());
  if (options_.http) RETURN_IF_ERROR(ServeHttp());
  if (store_ != nullptr) RETURN_IF_ERROR(BeginSeat());
  std::move(stand).Invoke();
  loop_->PostNow([this] {
    Publish();
    OnTick();
  });
  loop_->Sync();
  std::lock_guard lock(mutex_);
  ready_ = true;
  return absl::OkStatus();
}

absl::Status DriverDaemon::ServeHttp() {
  auto json = [this](std::string (*text)(const View&)) {
    return [this, text](const HttpRequest&) {
      if (!leads()) return HttpReply{503, "text/plain; charset=utf-8", "this driver stands by\n"};
      return HttpReply{200, "application/json", text(*view())};
    };
  };
  std::vector<HttpRoute> routes;
  AddHealthRoutes(&routes, [this] { return ready(); },
                  [this] { return ready() && leads() && !ending(); });
  routes.emplace_back("/api/v1/jobs", HttpAccess::kClient,
                      json([](const View& view) { return JobsJson(view.jobs); }));
  routes.emplace_back("/api/v1/workers", HttpAccess::kClient,
                      json([](const View& view) { return WorkersJson(view.workers); }));
  routes.emplace_back("/metrics", HttpAccess::kClient, [this](const HttpRequest&) {
    if (!leads()) return HttpReply{503, "text/plain; charset=utf-8", "this driver stands by\n"};
    auto now = view();
    return HttpReply{200, kMetricsType, MetricsText(now->jobs, now->workers)};
  });
  HttpOptions options{options_.http_host, options_.http_port, options_.security};
  ASSIGN_OR_RETURN(http_, HttpServer::Start(options, std::move(routes)));
  http_address_ = http_->address();
  return absl::OkStatus();
}

DriverDaemon::~DriverDaemon() {
  if (loop_ && seat_) {
    loop_->Post([this] {
      seat_->Resign();
      core_.reset();
    });
    loop_->Sync();
  }
  copies_.Stop();
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  http_.reset();
  if (transport_) transport_->Shutdown(1'000'000);
  if (loop_) loop_->Stop();
}

const std::string& DriverDaemon::address() const { return transport_->address(); }

bool DriverDaemon::ready() const {
  std::lock_guard lock(mutex_);
  return ready_;
}

bool DriverDaemon::ending() const {
  std::lock_guard lock(mutex_);
  return ending_;
}

void DriverDaemon::OnMessage(const std::string& from, proto::Envelope message) {
  if (message.has_fetched_block()) return blocks_.OnFetched(message.fetched_block());
  loop_->Post([this, from, message = std::move(message)] { Feed(Received{from, message}); });
}

void DriverDaemon::OnPeerDown(const std::string& address, bool refused) {
  blocks_.OnPeerDown(address);
  loop_->Post([this, address, refused] { Feed(PeerDown{address, refused}); });
}

void DriverDaemon::OnTick() {
  if (seat_ != nullptr) TakeTurn();
  if (core_ != nullptr) {
    LookAfterProcesses();
    if (!persisted_.ok()) Do(Persist{std::exchange(unsaved_, {})});
    Feed(Tick{});
    CollectBinaries();
  } else {
    CopyBinaries();
  }
  loop_->RunAfter(kTickUs, [this] { OnTick(); });
}

// By what is on disk: a table that could not be saved may name more than the next daemon will read.
void DriverDaemon::CollectBinaries() {
  const MonotonicTime now = RealClock().MonotonicUs();
  if (now < collect_at_ || !persisted_.ok() || core_ == nullptr) return;
  collect_at_ = now + kCollectUs;
  std::set<std::string> gone;
  for (const std::string& text : core_->CheckpointsLeft()) {
    const auto url = ParseCheckpointUrl(text);
    std::error_code error;
    if (!url.ok() || url->s3()) continue;  // nobody is asked from this loop
    if (!std::filesystem::exists(url->directory, error) && !error) gone.insert(text);
  }
  core_->SetCheckpointsGone(std::move(gone));
  const size_t removed = binaries_->Collect(core_->BinariesInUse());
  if (removed > 0) LOG(INFO) << "binaries that no job needs any more were removed: " << removed;
}

void DriverDaemon::Feed(const Event& event) {
  if (!LeadsForSure()) {
    if (const auto* received = std::get_if<Received>(&event)) TellWhoLeads(received->from);
    return;
  }
  CarryOut(core_->Step(RealClock().MonotonicUs(), event));
  while (!follow_ups_.empty() && core_ != nullptr) {
    Event next = std::move(follow_ups_.front());
    follow_ups_.pop_front();
    CarryOut(core_->Step(RealClock().MonotonicUs(), next));
  }
  Publish();
}

void DriverDaemon::CarryOut(std::vector<Command> commands) {
  for (const Command& command : commands) {
    if (seat_ != nullptr && !seat_->leads()) return;  // its table could not be written any more
    std::visit([this](const auto& c) { Do(c); }, command);
  }
}

void DriverDaemon::Do(const Introduce& command) {
  transport_->Introduce(command.address, command.job);
}

void DriverDaemon::Do(const Send& command) {
  transport_->Send(command.to, command.message);
}

void DriverDaemon::Do(const Persist& command) {
  absl::Status before = std::exchange(persisted_, seat_ != nullptr
                                                      ? seat_->Save(command.table)
                                                      : folder_->SaveTable(command.table));
  if (persisted_.ok()) return follow_ups_.push_back(Saved{});
  follow_ups_.push_back(NotSaved{});
  unsaved_ = command.table;
  if (before.ok()) LOG(ERROR) << "cannot save the job table; trying again: " << persisted_;
}

void DriverDaemon::Do(const Answer& command) {
  proto::Outcome outcome = command.outcome;
  if (!persisted_.ok() && outcome.exit_code() == 0) {
    outcome.set_exit_code(1);
    outcome.set_message("the driver cannot write its job table: " +
                        std::string(Message(persisted_)));
  }
  Publish();  // whoever gets the answer may look at once
  std::lock_guard lock(mutex_);
  answers_[command.request] = std::move(outcome);
  changed_.notify_all();
}

void DriverDaemon::Do(const ForgetRuns& command) { folder_->RemoveRuns(command.job); }

void DriverDaemon::Do(const Say& command) { LOG(INFO) << command.line; }

proto::Outcome DriverDaemon::Call(std::function<Event(uint64_t)> make) {
  uint64_t request, terms;
  {
    std::lock_guard lock(mutex_);
    request = next_request_++;
    terms = terms_ended_;
  }
  loop_->Post([this, event = make(request)] { Feed(event); });
  loop_->Post([this, request] {  // where nobody leads, nobody has answered
    std::lock_guard lock(mutex_);
    answers_.try_emplace(request, NotAnswered("this driver stands by"));
    changed_.notify_all();
  });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return ending_ || terms_ended_ != terms || answers_.count(request) != 0;
  });
  auto answer = answers_.extract(request);
  if (!answer.empty()) return answer.mapped();
  return NotAnswered(ending_ ? "the driver is ending" : "another driver has taken over");
}

proto::FindStreamReply DriverDaemon::FindStream(const std::string& job,
                                                const std::string& stream) {
  proto::FindStreamReply reply;
  loop_->Post([&] {
    if (core_ != nullptr) reply = core_->FindStream(job, stream);
  });
  loop_->Sync();
  return reply;
}

std::optional<proto::JobSpec> DriverDaemon::SpecOf(const std::string& job) {
  std::optional<proto::JobSpec> spec;
  loop_->Post([&] {
    if (core_ != nullptr) spec = core_->SpecOf(job);
  });
  loop_->Sync();
  return spec;
}

std::optional<std::string> DriverDaemon::ReadBlock(const proto::BlockInfo& block,
                                                   const std::vector<std::string>& holders) {
  const auto seen = view();
  for (const proto::WorkerInfo& worker : seen->workers.workers()) {
    if (std::find(holders.begin(), holders.end(), worker.id()) == holders.end()) continue;
    if (auto bytes = blocks_.Fetch(worker.address(), block)) return bytes;
  }
  return std::nullopt;
}

void DriverDaemon::Publish() {
  if (core_ == nullptr) return;  // whoever looks is told that another leads
  auto view = std::make_shared<View>();
  for (auto& job : core_->Jobs()) *view->jobs.add_jobs() = std::move(job);
  for (auto& worker : core_->Workers()) *view->workers.add_workers() = std::move(worker);
  std::lock_guard lock(mutex_);
  view->version = view_->version;
  bool same = view->jobs.SerializeAsString() == view_->jobs.SerializeAsString() &&
              view->workers.SerializeAsString() == view_->workers.SerializeAsString();
  if (same) return;
  ++view->version;
  view_ = std::move(view);
  changed_.notify_all();
}

std::shared_ptr<const DriverDaemon::View> DriverDaemon::view() const {
  std::lock_guard lock(mutex_);
  return view_;
}

std::shared_ptr<const DriverDaemon::View> DriverDaemon::AwaitNewer(uint64_t version,
                                                                   int64_t milliseconds) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(milliseconds),
                    [&] { return ending_ || view_->version > version; });
  return view_->version > version ? view_ : nullptr;
}

bool DriverDaemon::DrainJobs(int64_t deadline_ms) {
  loop_->Post([this, deadline_ms] {
    Feed(DrainAll{static_cast<uint64_t>(deadline_ms)});
  });
  loop_->Sync();
  auto all_ended = [](const View& view) {
    for (const auto& job : view.jobs.jobs()) {
      if (!job.ended()) return false;
    }
    return true;
  };
  MonotonicTime until = RealClock().MonotonicUs() + deadline_ms * 1000 +
                        2 * options_.times.force_grace_us;
  std::shared_ptr<const View> seen = view();
  while (!all_ended(*seen) && RealClock().MonotonicUs() < until && !ending()) {
    if (auto newer = AwaitNewer(seen->version, 200)) seen = newer;
  }
  return all_ended(*seen);
}

}  // namespace sluice::daemon
