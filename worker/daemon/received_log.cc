#include "worker/daemon/received_log.h"

#include "checkpoint/received_objects.h"
#include "common/crc32c.h"
#include "common/kill_point.h"
#include "common/status.h"
#include "worker/daemon/block_names.h"

namespace sluice {
namespace {

constexpr int kThreads = 4;  // puts under way at a time

std::string ObjectOf(const BlockKey& key) {
  return ObjectOf(
      ReceivedName{key.job_instance, static_cast<uint32_t>(key.stream), key.incarnation,
                   key.number});
}

}  // namespace

ReceivedLog::ReceivedLog(BlockStore* blocks, Open open, Post post)
    : blocks_(blocks), open_(std::move(open)), post_(std::move(post)) {}

ReceivedLog::~ReceivedLog() {
  for (const auto& thread : threads_) thread->Stop();
}

void ReceivedLog::Run(std::function<void()> task) {
  if (threads_.empty()) {
    for (int i = 0; i < kThreads; ++i) {
      threads_.push_back(
          std::make_unique<EventLoop>(EventLoop::Options{.name = "received-log"}));
    }
  }
  threads_[next_thread_++ % threads_.size()]->PostNow(std::move(task));
}

void ReceivedLog::Do(const worker::LogBlock& command) {
  Run([this, command] {
    post_(worker::BlockLogged{command.block, std::string(Message(Write(command)))});
  });
}

void ReceivedLog::Do(const worker::ReadLogged& command) {
  Run([this, command] { post_(Read(command)); });
}

void ReceivedLog::Forget(uint64_t job_instance) {
  std::lock_guard lock(mutex_);
  std::erase_if(stores_, [&](const auto& store) { return store.first.first == job_instance; });
}

absl::StatusOr<std::shared_ptr<ObjectStore>> ReceivedLog::StoreOf(uint64_t job_instance,
                                                                 const std::string& url) {
  const std::pair<uint64_t, std::string> key(job_instance, url);
  {
    std::lock_guard lock(mutex_);
    const auto known = stores_.find(key);
    if (known != stores_.end()) return known->second;
  }
  ASSIGN_OR_RETURN(std::unique_ptr<ObjectStore> store, open_(url));
  const absl::Status mark = store->Get(JobMark(job_instance)).status();
  if (absl::IsNotFound(mark)) {
    return absl::FailedPreconditionError(store->Where() + " is not the store of the job as this "
                                         "node sees it: is the directory mounted here?");
  }
  RETURN_IF_ERROR(mark);
  std::lock_guard lock(mutex_);
  return stores_.try_emplace(key, std::move(store)).first->second;
}

absl::Status ReceivedLog::Write(const worker::LogBlock& command) {
  ASSIGN_OR_RETURN(const std::shared_ptr<ObjectStore> store,
                   StoreOf(command.block.job_instance, command.store));
  const absl::StatusOr<BlockStore::Reading> reading = blocks_->Read(command.block);
  const absl::Status whole = reading.ok() ? reading->Check() : reading.status();
  if (absl::IsDataLoss(whole)) {
    post_(worker::CopyUnreadable{command.block, std::string(Message(whole)), true});
  }
  RETURN_IF_ERROR(whole);
  Pass(KillPoint::kReceivedBegun);
  const absl::Status put =
      store->PutIfAbsent(ObjectOf(command.block), EncodeReceived(reading->bytes()));
  Pass(KillPoint::kReceivedStored);
  return absl::IsAlreadyExists(put) ? absl::OkStatus() : put;
}

worker::LoggedRead ReceivedLog::Read(const worker::ReadLogged& command) {
  worker::LoggedRead read{command.info, false, false, ""};
  const BlockKey key = KeyOf(command.info.name());
  const auto store = StoreOf(key.job_instance, command.store);
  if (!store.ok()) {
    read.error = std::string(Message(store.status()));
    return read;
  }
  absl::StatusOr<std::string> bytes = (*store)->Get(ObjectOf(key));
  if (bytes.ok()) bytes = DecodeReceived(*std::move(bytes));
  if (bytes.ok() && bytes->size() != command.info.bytes()) {
    bytes = absl::DataLossError("the received block has another size than was logged");
  }
  if (!bytes.ok()) {
    read.gone = absl::IsNotFound(bytes.status()) || absl::IsDataLoss(bytes.status());
    // A directory may have been unmounted since it was looked at.
    if (absl::IsNotFound(bytes.status()) &&
        !(*store)->Get(JobMark(key.job_instance)).ok()) {
      read.gone = false;
      Forget(key.job_instance);
    }
    read.error = std::string(Message(bytes.status()));
    return read;
  }
  // A block of a local job is logged without a checksum; then the object's own has been checked.
  const uint32_t crc =
      command.info.crc32c() != 0 ? command.info.crc32c() : Crc32c(*bytes);
  const absl::Status stored = blocks_->PutCopy(key, *bytes, crc);
  Pass(KillPoint::kReceivedRestored);
  read.ok = stored.ok() || absl::IsAlreadyExists(stored);
  read.gone = absl::IsDataLoss(stored);
  if (!read.ok) read.error = std::string(Message(stored));
  return read;
}

}  // namespace sluice
