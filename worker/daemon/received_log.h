// Writes blocks to the checkpoint stores of their jobs, and reads them back: the hands of the
// received-data log (docs/received_log.md). On threads of its own, which wait for the stores.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/object_store.h"
#include "common/event_loop.h"
#include "worker/daemon/block_store.h"
#include "worker/daemon/worker_events.h"

namespace sluice {

class ReceivedLog {
 public:
  using Post = std::function<void(worker::Event)>;  // from any thread, does not wait
  using Open = std::function<absl::StatusOr<std::unique_ptr<ObjectStore>>(const std::string& url)>;
  // `blocks` outlives it.
  ReceivedLog(BlockStore* blocks, Open open, Post post);
  ~ReceivedLog();  // waits for what is under way; the rest is dropped

  // Both are for one thread, and return at once.
  // Answered by BlockLogged; behind CopyUnreadable, where the copy here is damaged.
  void Do(const worker::LogBlock& command);
  void Do(const worker::ReadLogged& command);  // answered by LoggedRead
  void Forget(uint64_t job_instance);          // the job has ended

 private:
  void Run(std::function<void()> task);
  // The store at `url`, if it is that of the job: a directory that is not mounted here would be
  // another one.
  absl::StatusOr<std::shared_ptr<ObjectStore>> StoreOf(uint64_t job_instance,
                                                       const std::string& url);
  absl::Status Write(const worker::LogBlock& command);
  worker::LoggedRead Read(const worker::ReadLogged& command);

  BlockStore* const blocks_;
  const Open open_;
  const Post post_;
  std::mutex mutex_;
  std::map<std::pair<uint64_t, std::string>, std::shared_ptr<ObjectStore>> stores_;
  std::vector<std::unique_ptr<EventLoop>> threads_;  // from the first task on
  size_t next_thread_ = 0;
};

}  // namespace sluice
