// The books of received blocks with the membership and the log that they need, for their tests.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/delta_stream.h"
#include "driver/job/block_desk.h"
#include "driver/job/test_messages.h"

namespace sluice {

inline constexpr uint64_t kEpoch = 3;
inline constexpr int64_t kLeaseUs = 1'000'000;

// Two workers, the books of one job driver, and what these books send.
class Books {
 public:
  Books() : members_(options_, kEpoch, {}, [] { return uint64_t{7}; }),
            log_(&state_, JobState(), 1),
            blocks_(options_, &state_, &log_, &members_, kEpoch) {
    options_.lease_us = kLeaseUs;
    members_.SetJob(1, {});
    Add("w0");
    Add("w1");
    List();
  }

  void Add(const std::string& id) {
    auto& member = *listed_.add_workers();
    member.set_worker_id(id);
    member.set_address(id);
    member.set_host(id);
    member.set_incarnation(1);
    member.set_slots(1);
  }
  // Its daemon has ended, and the next one is there.
  void Restart(const std::string& id) {
    for (auto& member : *listed_.mutable_workers()) {
      if (member.worker_id() == id) member.set_incarnation(member.incarnation() + 1);
    }
    List();
  }
  void Drain(const std::string& id) {
    for (auto& member : *listed_.mutable_workers()) {
      if (member.worker_id() == id) member.set_draining(true);
    }
    List();
  }

  // The driver daemon says which workers there are.
  void List() {
    MembershipNews news;
    members_.OnMembers(now_, listed_, news);
  }
  bool InventoriesIn() const { return members_.InventoriesIn(); }

  // Lets time pass; what was sent since is in `sent`.
  void Pass(int64_t us) {
    now_ += us;
    sent.clear();
    std::vector<DriverCommand> out;
    MembershipNews news;
    members_.OnTimer(now_, news, out);
    for (const std::string& worker : news.lost_workers) blocks_.OnWorkerLost(worker);
    blocks_.OnTimer(now_, out);
    log_.Flush(out);
    Take(out);
  }
  uint64_t SessionOf(const std::string& worker) const { return members_.SessionOf(worker); }
  // The session that `worker` was sent, or null.
  const proto::JobSession* SessionTo(const std::string& worker) const {
    for (const Send& send : sent) {
      if (send.to == worker && send.message.has_job_session()) return &send.message.job_session();
    }
    return nullptr;
  }
  // The release that `worker` was sent, or null.
  const proto::ReleaseBlocks* ReleaseTo(const std::string& worker) const {
    for (const Send& send : sent) {
      if (send.to == worker && send.message.has_release_blocks()) {
        return &send.message.release_blocks();
      }
    }
    return nullptr;
  }
  void Inventory(const std::string& worker, uint64_t session, std::vector<uint64_t> blocks = {},
                 uint32_t receiver = 0, uint64_t incarnation = kFirstIncarnation,
                 std::vector<uint64_t> deltas = {}) {
    proto::WorkerInventory inventory;
    inventory.set_worker_id(worker);
    inventory.set_incarnation(incarnation);
    inventory.set_epoch(kEpoch);
    inventory.set_session(session);
    for (const uint64_t number : blocks) *inventory.add_blocks() = Block(number);
    for (const uint64_t number : deltas) *inventory.add_blocks() = Delta(number);
    if (receiver != 0) {
      auto& live = *inventory.add_receivers();
      live.set_executor(receiver);
      live.set_incarnation(100 + receiver);
    }
    MembershipNews news;
    members_.OnInventory(now_, inventory, news);
    blocks_.OnInventory(inventory);
  }
  std::vector<uint32_t> Started() const {
    std::vector<uint32_t> started;
    for (const Send& send : sent) {
      if (send.message.has_start_executor()) {
        started.push_back(send.message.start_executor().executor());
      }
    }
    return started;
  }
  bool Stopped(const std::string& worker, uint32_t executor) const {
    return std::any_of(sent.begin(), sent.end(), [&](const Send& send) {
      return send.to == worker && send.message.has_stop_executor() &&
             send.message.stop_executor().executor() == executor;
    });
  }
  void Beat(const std::string& worker, uint64_t releases = 0, uint64_t blocks = 0) {
    proto::LeaseBeat beat;
    beat.set_worker_id(worker);
    beat.set_incarnation(1);
    beat.set_reply(true);
    beat.set_epoch(kEpoch);
    beat.set_releases(releases);
    beat.set_blocks(blocks);
    MembershipNews news;
    std::vector<DriverCommand> out;
    members_.OnBeat(now_, beat, news, out);
    blocks_.OnBeat(now_, beat);
  }
  void Announce(uint64_t number, std::vector<std::string> holders,
                std::vector<uint64_t> incarnations = {}) {
    Announce(Block(number), std::move(holders), std::move(incarnations));
  }
  void Announce(proto::BlockInfo block, std::vector<std::string> holders,
                std::vector<uint64_t> incarnations) {
    proto::BlockAnnounce announce;
    *announce.mutable_block() = std::move(block);
    incarnations.resize(holders.size(), kFirstIncarnation);
    for (size_t i = 0; i < holders.size(); ++i) AddHolder(announce, holders[i], incarnations[i]);
    Announce(announce);
  }
  // A former job driver has added it.
  void AddLogged(uint64_t number, const std::vector<std::string>& holders) {
    proto::Entry entry;
    *entry.mutable_block_added()->mutable_block() = Block(number);
    for (const std::string& holder : holders) entry.mutable_block_added()->add_holders(holder);
    log_.Enqueue(std::move(entry));
    MakeDurable();
  }
  // A block of changes of state.
  void AnnounceDelta(uint64_t number, std::vector<std::string> holders,
                     std::vector<uint64_t> incarnations = {}) {
    Announce(Delta(number), std::move(holders), std::move(incarnations));
  }
  // Of a batch that is decided.
  void DecideDelta(int64_t batch_ms, uint64_t number) {
    Plan(batch_ms, {});
    proto::Entry decided;
    decided.mutable_decided()->set_batch_ms(batch_ms);
    *decided.mutable_decided()->add_deltas() = Delta(number);
    log_.Enqueue(decided);
    MakeDurable();
  }
  // A checkpoint of it is whole; the log does not have that yet.
  void Seal(int64_t batch_ms) {
    proto::Entry sealed;
    sealed.mutable_sealed()->set_batch_ms(batch_ms);
    log_.Enqueue(sealed);
  }
  void SealUpTo(int64_t batch_ms) {
    Seal(batch_ms);
    MakeDurable();
    blocks_.SweepDeltas();
  }
  bool KnowsDelta(uint64_t number) const {
    return blocks_.FindDelta({kDeltaStream, 5, number}) != nullptr;
  }
  // Its worker could not seal it.
  void AnnounceUnsealed(uint64_t number) {
    proto::BlockAnnounce announce;
    *announce.mutable_block()->mutable_name() = Block(number).name();
    Announce(announce);
  }
  void Announce(const proto::BlockAnnounce& announce) {
    sent.clear();
    std::vector<DriverCommand> out;
    blocks_.OnAnnounce("w0", announce, out);
    log_.Flush(out);
    while (!log_.idle()) log_.OnDurable({slot_++, 0}, out);
    Take(out);
  }
  // They are the input of a batch.
  void Plan(int64_t batch_ms, const std::vector<uint64_t>& numbers) {
    proto::Entry planned;
    auto& composition = *planned.mutable_planned()->mutable_composition();
    composition.set_batch_ms(batch_ms);
    auto& task = *composition.add_sources()->add_tasks();
    for (const uint64_t number : numbers) *task.add_pieces()->mutable_block() = Block(number);
    log_.Enqueue(planned);
  }
  // A checkpoint covers it.
  void Cover(uint64_t number) {
    const auto batch_ms = static_cast<int64_t>(1000 * number);
    Plan(batch_ms, {number});
    proto::Entry decided;
    decided.mutable_decided()->set_batch_ms(batch_ms);
    log_.Enqueue(decided);
    proto::Entry sealed;
    sealed.mutable_sealed()->set_batch_ms(batch_ms);
    log_.Enqueue(sealed);
    MakeDurable();
    blocks_.Release(state_.TakeCoveredBlocks());
  }
  // All that the log was told so far is durable.
  void MakeDurable() {
    std::vector<DriverCommand> out;
    log_.Flush(out);
    while (!log_.idle()) log_.OnDurable({slot_++, 0}, out);
  }
  // What follows is of a source that sends again what was not acknowledged.
  void MakeReliable() { reliable_ = true; }
  // The program was changed since the receivers of former epochs were started.
  void ChangeProgram() { blocks_.RefuseFormerReceivers(); }
  // What follows is in the received-data log, or not yet.
  void MakeLogged(bool stored = true) {
    in_store_ = stored;
    options_.received_log = "store";
    options_.replication = 1;
  }
  // The blocks that workers were told to read from there since the last Pass.
  std::vector<uint64_t> Restored() const {
    std::vector<uint64_t> numbers;
    for (const Send& send : sent) {
      if (!send.message.has_restore_block()) continue;
      numbers.push_back(send.message.restore_block().block().name().number());
    }
    return numbers;
  }
  std::string RestorerOf(uint64_t number) const {
    for (const Send& send : sent) {
      if (!send.message.has_restore_block()) continue;
      if (send.message.restore_block().block().name().number() == number) return send.to;
    }
    return "";
  }
  void NotRestored(const std::string& worker, uint64_t number, bool gone) {
    proto::BlockNotRestored failed;
    *failed.mutable_name() = Block(number).name();
    failed.set_worker_id(worker);
    failed.set_gone(gone);
    std::vector<DriverCommand> out;
    blocks_.OnNotRestored(failed, out);
  }
  // A worker found its copy damaged.
  void CopyGone(const std::string& worker, uint64_t number, uint64_t incarnation = 1) {
    proto::BlockCopied gone;
    *gone.mutable_name() = Block(number).name();
    gone.set_worker_id(worker);
    gone.set_incarnation(incarnation);
    std::vector<DriverCommand> out;
    blocks_.OnCopyGone(gone, out);
  }
  // The received-data log has blocks of it that no checkpoint knows.
  void Orphan(uint64_t incarnation) { blocks_.OnOrphans(now_, {{{0, incarnation}}}); }
  void OrphanLater(int leases, uint64_t incarnation) {
    now_ += leases * kLeaseUs;
    Orphan(incarnation);
  }
  bool Lost(uint64_t number) const { return blocks_.IsLost(now_, {0, 5, number}); }
  bool Judged() const {
    return std::any_of(sent.begin(), sent.end(),
                       [](const Send& send) { return send.message.has_block_verdict(); });
  }
  // "1: w0 to w2" of each further copy that was asked for since the last Pass.
  std::vector<std::string> CopiesAsked() const {
    std::vector<std::string> asked;
    for (const Send& send : sent) {
      if (!send.message.has_replicate_block()) continue;
      const auto& copy = send.message.replicate_block();
      asked.push_back(std::to_string(copy.name().number()) + ": " + send.to + " to " +
                      copy.target_worker());
    }
    return asked;
  }
  bool AwaitsBlocks() const { return blocks_.AwaitsBlocks(); }
  void BeginDrain() { blocks_.BeginDrain(); }
  // The last answer to an announcement.
  bool Accepted() const {
    for (auto send = sent.rbegin(); send != sent.rend(); ++send) {
      if (send->message.has_block_verdict()) return send->message.block_verdict().accepted();
    }
    return false;
  }
  const JobState& state() const { return state_; }
  uint64_t under_replicated() const { return blocks_.under_replicated(); }
  // All workers have answered the sessions that are due.
  void Greet() {
    Pass(1'000);
    std::map<std::string, uint64_t> sessions;
    for (const auto& member : listed_.workers()) {
      const proto::JobSession* session = SessionTo(member.worker_id());
      if (session != nullptr) sessions[member.worker_id()] = session->number();
    }
    for (const auto& [worker, session] : sessions) Inventory(worker, session);
  }
  std::vector<std::string> Holders(uint64_t number) const {
    return blocks_.HoldersOf({0, 5, number});
  }

  std::vector<Send> sent;

 private:
  void Take(std::vector<DriverCommand>& out) {
    for (DriverCommand& command : out) {
      if (auto* send = std::get_if<Send>(&command)) sent.push_back(std::move(*send));
    }
  }
  proto::BlockInfo Block(uint64_t number) const {
    proto::BlockInfo block;
    block.mutable_name()->set_job_instance(1);
    block.mutable_name()->set_incarnation(5);
    block.mutable_name()->set_number(number);
    block.set_records(1);
    block.set_bytes(10);
    block.set_reliable(reliable_);
    block.set_in_store(in_store_);
    return block;
  }

  proto::BlockInfo Delta(uint64_t number) const {
    proto::BlockInfo block = Block(number);
    block.mutable_name()->set_stream(kDeltaStream);
    return block;
  }

  JobDriverOptions options_;
  proto::ClusterMembers listed_;
  JobState state_;
  Membership members_;
  LogQueue log_;
  BlockDesk blocks_;
  MonotonicTime now_ = 1'000'000;
  uint64_t slot_ = 1;
  bool reliable_ = false;
  bool in_store_ = false;
};

}  // namespace sluice
