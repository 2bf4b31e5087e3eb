// The half of the driver daemon that stands by, takes over and gives way (docs/standby.md).
#include <glog/logging.h>

#include <random>
#include <set>
#include <utility>

#include "common/net/child_host.h"
#include "common/net/fetch_binary.h"
#include "common/net/grpc_transport.h"
#include "common/status.h"
#include "driver/daemon/driver_daemon.h"

namespace sluice::daemon {
namespace {

constexpr int kTurnsMax = 3;  // an append that is tried again, and one behind it

uint64_t RandomNumber() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

}  // namespace

absl::Status DriverDaemon::BeginSeat() {
  LeaderSeat::Options seat;
  seat.address = transport_->address();
  ASSIGN_OR_RETURN(seat.node, folder_->Node());
  seat.lease_us = options_.lease_us;
  seat.now = [] { return RealClock().MonotonicUs(); };
  seat.random = RandomNumber;
  seat_ = std::make_unique<LeaderSeat>(store_.get(), std::move(seat));
  LeaderSeat::News first = seat_->Turn();
  RETURN_IF_ERROR(first.failed);
  if (first.lead) BeginLeading(std::move(first.table));
  ShowLeader();
  return absl::OkStatus();
}

bool DriverDaemon::LeadsForSure() {
  if (seat_ == nullptr) return true;
  for (int turn = 0; core_ != nullptr && !seat_->Sure() && turn < kTurnsMax; ++turn) TakeTurn();
  return core_ != nullptr && seat_->Sure();
}

void DriverDaemon::TakeTurn() {
  LeaderSeat::News news = seat_->Turn();
  if (!news.failed.ok()) {
    LOG_EVERY_N(ERROR, 20) << "nobody can lead: " << news.failed;
  }
  if (news.follow) StandBy(news.why);
  if (news.lead) BeginLeading(std::move(news.table));
  ShowLeader();
}

void DriverDaemon::BeginLeading(proto::JobTable table) {
  // A folder's own table is of a daemon that had no store: its jobs go with it into the store.
  if (seat_->epoch() == 1) table = former_;
  const Leadership leadership{seat_->epoch(), transport_->address()};
  core_ = std::make_unique<DaemonCore>(options_.times, RealClock().MonotonicUs(), table,
                                       ChildHost(options_.host, options_.advertise), leadership);
  persisted_ = absl::OkStatus();
  LOG(INFO) << "this driver leads, epoch " << leadership.epoch << ", " << table.jobs_size()
            << " jobs in the table";
  ShowLeader();
  Publish();
}

void DriverDaemon::StandBy(const std::string& why) {
  core_.reset();
  follow_ups_.clear();
  watched_.clear();
  processes_.clear();
  unsaved_.Clear();
  persisted_ = absl::OkStatus();
  LOG(WARNING) << "this driver stands by now: " << why;
  ShowLeader();
  std::lock_guard lock(mutex_);
  ++terms_ended_;
  changed_.notify_all();
}

void DriverDaemon::ShowLeader() {
  Leader leader;
  leader.self = core_ != nullptr;
  leader.address = leader.self ? transport_->address() : seat_->leader();
  leader.sure_until = seat_->sure_until();
  std::lock_guard lock(mutex_);
  const bool news = leader.self != leader_.self || leader.address != leader_.address;
  if (news && !leader.self && !leader.address.empty()) {
    LOG(INFO) << "standing by for the driver at " << leader.address;
  }
  leader_ = std::move(leader);
  if (news) changed_.notify_all();
}

DriverDaemon::Leader DriverDaemon::leader() const {
  std::lock_guard lock(mutex_);
  return leader_;
}

DriverDaemon::Leader DriverDaemon::AskLeader() {
  loop_->Post([this] { (void)LeadsForSure(); });
  loop_->Sync();
  return leader();
}

bool DriverDaemon::leads() const {
  const Leader now = leader();
  return now.self && RealClock().MonotonicUs() < now.sure_until;
}

void DriverDaemon::TellWhoLeads(const std::string& to) {
  const std::string& leader = seat_->leader();
  if (core_ != nullptr || leader.empty() || leader == transport_->address()) return;
  proto::Envelope message;
  message.mutable_driver_leads()->set_address(leader);
  message.set_leader_epoch(seat_->epoch());
  transport_->Send(to, std::move(message));
}

// What this daemon would need to start the leader's jobs anew.
void DriverDaemon::CopyBinaries() {
  const MonotonicTime now = RealClock().MonotonicUs();
  const std::string leader = seat_->leader();
  if (now < collect_at_ || leader.empty() || leader == transport_->address()) return;
  collect_at_ = now + options_.lease_us / 4;
  std::set<std::string> needed;
  std::vector<proto::LeaderEntry::Binary> missing;
  for (const auto& binary : seat_->binaries()) {
    needed.insert(binary.digest());
    if (!binaries_->Has(binary.digest(), binary.size())) missing.push_back(binary);
  }
  binaries_->Collect(needed);
  if (missing.empty() || copying_.exchange(true)) return;
  copies_.PostNow([this, leader, missing = std::move(missing)] {
    for (const auto& binary : missing) {
      const absl::Status copied = CopyBinary(leader, binary);
      LOG_IF(WARNING, !copied.ok()) << "cannot copy a binary from " << leader << ": " << copied;
    }
    copying_ = false;
  });
}

absl::Status DriverDaemon::CopyBinary(const std::string& leader,
                                      const proto::LeaderEntry::Binary& binary) {
  const BinaryStore::Hold hold(binaries_.get(), {binary.digest()});
  ASSIGN_OR_RETURN(const auto upload, binaries_->Begin(binary.digest(), binary.size()));
  RETURN_IF_ERROR(FetchBinary(leader, options_.security, binary.digest(),
                              [&](std::string_view bytes) { return upload->Write(bytes); }));
  return upload->Finish();
}

}  // namespace sluice::daemon
