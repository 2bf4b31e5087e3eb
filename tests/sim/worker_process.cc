#include "tests/sim/worker_process.h"

#include <algorithm>
#include <utility>

#include "checkpoint/received_objects.h"
#include "common/crc32c.h"
#include "common/delta_stream.h"
#include "common/status.h"

namespace sluice::sim {
namespace {

constexpr int64_t kTickUs = 20'000;

}  // namespace

WorkerProcess::WorkerProcess(Site* site, const std::string& host, std::string worker_id,
                             std::string daemon_address)
    : site_(site) {
  config_.worker_id = std::move(worker_id);
  config_.incarnation = site->world.random.Next();
  config_.address = host + ":daemon";
  site->world.AttachAt(config_.address, this);
  config_.host = host;
  config_.driver_address = std::move(daemon_address);
  config_.slots = site->knobs.slots;
  config_.starts_processes = false;
  config_.tick_us = kTickUs;
  core_ = std::make_unique<WorkerCore>(config_);
  site_->daemons[config_.worker_id] = config_.incarnation;
  member_.set_worker_id(config_.worker_id);
  member_.set_incarnation(config_.incarnation);
  member_.set_address(config_.address);
  member_.set_host(host);
  member_.set_slots(config_.slots);
  Tick();
}

WorkerProcess::~WorkerProcess() {
  site_->world.Detach(config_.address);
  LoseBlocks();
  site_->daemons.erase(config_.worker_id);
  site_->daemons_lost.insert(config_.incarnation);
}

void WorkerProcess::LoseBlocks() {
  for (auto& [id, block] : site_->blocks) block.holders.erase(config_.worker_id);
}

void WorkerProcess::Tick() {
  Feed(worker::Tick{});
  After(kTickUs, [this] { Tick(); });
}

void WorkerProcess::OnMessage(const std::string& from, proto::Envelope message) {
  if (message.has_block_copy()) return TakeCopy(from, *message.mutable_block_copy());
  if (message.has_fetch_block()) return AnswerFetch(from, message.fetch_block());
  Feed(worker::Received{from, std::move(message)});
}

void WorkerProcess::OnPeerDown(const std::string& address, bool refused) {
  Feed(worker::PeerDown{address, refused});
}

void WorkerProcess::OnLinkReset(const std::string& address) {
  Feed(worker::LinkReset{address});
}

void WorkerProcess::Feed(worker::Event event) {
  for (worker::Command& command : core_->Step(site_->world.now(), std::move(event))) {
    std::visit([this](auto& c) { Do(c); }, command);
  }
}

void WorkerProcess::Keep(const proto::BlockInfo& info, const std::string& bytes) {
  ArchivedBlock& block = site_->blocks[IdOf(info.name())];
  site_->world.Trace(address(), "keeps block " + std::to_string(info.name().number()) + " of " +
                                    std::to_string(info.name().incarnation() % 1000));
  if (!block.bytes.empty() && block.bytes != bytes) site_->Break("a block has changed");
  block.bytes = bytes;
  block.holders.insert(config_.worker_id);
  if (block.holders.size() >= 2) block.had_two_copies = true;
  ++blocks_;
}

void WorkerProcess::Do(Send& command) {
  const auto told = [this](const proto::BlockInfo& info) {
    const auto block = site_->blocks.find(IdOf(info.name()));
    if (block != site_->blocks.end()) block->second.told = true;
  };
  if (command.message.has_block_announce()) told(command.message.block_announce().block());
  for (const auto& info : command.message.worker_inventory().blocks()) told(info);
  site_->world.Send(address(), command.to, std::move(command.message));
}

void WorkerProcess::Do(worker::StoreSlice& command) {
  After(site_->world.random.Between(50, 1'000), [this, command] {
    const auto& slice = command.slice;
    const std::string& bytes = slice.inlined().empty()
                                   ? arenas_[command.executor][slice.arena_offset()]
                                   : slice.inlined();
    worker::SliceStored stored;
    stored.info = slice.block();
    if (site_->Chance(site_->world.faults.block_store_full)) {
      site_->world.Count("blocks: no room");
      stored.no_room = true;
      stored.error = "no room";
      stored.inlined = slice.inlined();
    } else {
      stored.ok = true;
      stored.info.set_bytes(bytes.size());
      stored.info.set_crc32c(Crc32c(bytes));
      Keep(stored.info, bytes);
    }
    Feed(std::move(stored));
  });
}

void WorkerProcess::Do(worker::SendCopy& command) {
  const auto block = site_->blocks.find(IdOf(command.info.name()));
  if (block == site_->blocks.end()) return;
  proto::Envelope message;
  auto& copy = *message.mutable_block_copy();
  *copy.mutable_block() = command.info;
  copy.set_data(block->second.bytes);
  copy.set_last(true);
  copy.set_incarnation(command.incarnation);
  site_->world.Send(address(), command.to, std::move(message));
}

void WorkerProcess::Do(worker::LogBlock& command) {
  After(site_->world.random.Between(200, 30'000), [this, key = command.block] {
    const auto stream = static_cast<uint32_t>(key.stream);
    const auto block = site_->blocks.find({stream, key.incarnation, key.number});
    if (block == site_->blocks.end()) return;
    site_->SetObjectFaults();
    const absl::Status put = site_->objects.PutIfAbsent(
        ObjectOf(ReceivedName{key.job_instance, stream, key.incarnation, key.number}),
        EncodeReceived(block->second.bytes));
    site_->objects.SetFaults({});
    const bool there = put.ok() || absl::IsAlreadyExists(put);
    if (there) site_->world.Count("received log: block written");
    Feed(worker::BlockLogged{key, there ? "" : std::string(Message(put))});
  });
}

void WorkerProcess::Do(worker::ReadLogged& command) {
  After(site_->world.random.Between(200, 30'000), [this, info = command.info] {
    const proto::BlockName& name = info.name();
    worker::LoggedRead read{info, false, false, ""};
    const std::string object = ObjectOf(ReceivedName{
        name.job_instance(), name.stream(), name.incarnation(), name.number()});
    site_->SetReadFaults();
    absl::StatusOr<std::string> bytes = site_->objects.Get(object);
    site_->objects.SetFaults({});
    if (bytes.ok()) bytes = DecodeReceived(*std::move(bytes));
    if (bytes.ok()) {
      site_->world.Count("recovery: block read from the received log");
      Keep(info, *bytes);
      read.ok = true;
    } else {
      read.gone = absl::IsNotFound(bytes.status()) || absl::IsDataLoss(bytes.status());
      read.error = std::string(Message(bytes.status()));
      // A wish that comes long after may be for one that nobody needs any more.
      if (read.gone && !site_->collected.contains(object)) {
        site_->Break("I1: the received log lost block " + std::to_string(name.number()));
      }
    }
    Feed(std::move(read));
  });
}

void WorkerProcess::AnswerFetch(const std::string& from, const proto::FetchBlock& fetch) {
  proto::Envelope message;
  auto& fetched = *message.mutable_fetched_block();
  *fetched.mutable_name() = fetch.name();
  fetched.set_request(fetch.request());
  fetched.set_offset(fetch.offset());
  const auto block = site_->blocks.find(IdOf(fetch.name()));
  if (block != site_->blocks.end() && block->second.holders.contains(config_.worker_id)) {
    fetched.set_found(true);
    fetched.set_data(block->second.bytes.substr(fetch.offset(), fetch.length()));
  }
  site_->world.Send(address(), from, std::move(message));
}

void WorkerProcess::TakeCopy(const std::string& from, proto::BlockCopy& copy) {
  int64_t delay = site_->world.random.Between(50, 1'000);
  if (site_->Chance(site_->world.faults.block_store_slow)) {
    site_->world.Count("blocks: replica stored late");
    delay = site_->world.random.Between(10'000, 1'500'000);
  }
  After(delay, [this, from, copy = std::move(copy)] {
    worker::CopyStored stored{from, copy.incarnation(), copy.block(), true, ""};
    if (site_->Chance(site_->world.faults.block_store_full)) {
      site_->world.Count("blocks: no room for a replica");
      stored.ok = false;
      stored.error = "no room";
    } else {
      Keep(copy.block(), copy.data());
    }
    Feed(std::move(stored));
  });
}

void WorkerProcess::Do(worker::DropBlock& command) {
  const BlockId3 id{static_cast<uint32_t>(command.block.stream), command.block.incarnation,
                    command.block.number};
  const auto block = site_->blocks.find(id);
  if (block == site_->blocks.end()) return;
  site_->world.Count("recovery: block released");
  site_->world.Trace(address(), "drops block " + std::to_string(command.block.number) + " of " +
                                    std::to_string(command.block.incarnation % 1000));
  block->second.holders.erase(config_.worker_id);
}

void WorkerProcess::Do(worker::StartProcess& command) {
  const auto& request = command.request;
  const ExecutorKey key{request.job_instance(), request.epoch(), request.executor()};
  After(site_->world.random.Between(1'000, 30'000), [this, key, request] {
    if (request.role() == "receivers") {
      receivers_[key] = std::make_unique<ReceiverProcess>(site_, config_.host, config_.worker_id,
                                                          address(), request);
    } else {
      tasks_[key] = std::make_unique<ExecutorProcess>(site_, config_.host, config_.worker_id,
                                                      address(), request);
    }
    Feed(worker::ProcessStarted{key, 1, ""});
  });
}

void WorkerProcess::Do(worker::EndProcess& command) {
  const ExecutorKey key = command.executor;
  After(site_->world.random.Between(100, 20'000), [this, key] { Crash(key); });
}

void WorkerProcess::Crash(const ExecutorKey& key) {
  std::vector<worker::LeftInArena> left;
  if (const auto receiver = receivers_.find(key); receiver != receivers_.end()) {
    left = receiver->second->arena().Left(key.job_instance);
    arenas_[key] = receiver->second->arena().Bytes();
    const bool plain = receiver->second->stream() == site_->plain_stream;
    if (plain && !left.empty()) site_->world.Count("plain: left by a receiver that crashed");
  }
  if (tasks_.erase(key) + receivers_.erase(key) == 0) return;
  After(site_->world.random.Between(100, 5'000), [this, key, left = std::move(left)] {
    Feed(worker::ProcessReaped{key, "signal 9", false, {}, left});
  });
}

std::vector<ExecutorKey> WorkerProcess::executors(bool receivers) const {
  std::vector<ExecutorKey> keys;
  if (receivers) {
    for (const auto& [key, process] : receivers_) keys.push_back(key);
  } else {
    for (const auto& [key, process] : tasks_) keys.push_back(key);
  }
  return keys;
}

std::vector<ReceiverProcess*> WorkerProcess::receivers() {
  std::vector<ReceiverProcess*> all;
  for (const auto& [key, process] : receivers_) all.push_back(process.get());
  return all;
}

std::vector<std::string> WorkerProcess::addresses() const {
  std::vector<std::string> all{address()};
  for (const auto& [key, process] : tasks_) all.push_back(process->address());
  for (const auto& [key, process] : receivers_) all.push_back(process->address());
  return all;
}

bool WorkerProcess::IsOnlyHolder(const ArchivedBlock& block) const {
  return block.holders.size() == 1 && block.holders.contains(config_.worker_id);
}

bool WorkerProcess::HasLastCopies() const {
  return std::any_of(site_->blocks.begin(), site_->blocks.end(), [this](const auto& entry) {
    const auto& [id, block] = entry;
    if (std::get<0>(id) == kDeltaStream) return false;  // batches run again instead
    return block.had_two_copies && IsOnlyHolder(block);
  });
}

bool WorkerProcess::HasToldAlone() const {
  return std::any_of(site_->blocks.begin(), site_->blocks.end(), [this](const auto& entry) {
    const auto& [id, block] = entry;
    if (std::get<0>(id) == kDeltaStream) return false;
    return block.told && !block.had_two_copies && IsOnlyHolder(block);
  });
}

}  // namespace sluice::sim
