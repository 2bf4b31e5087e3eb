// A receiver executor in its process: descriptors from the daemon's socket, links and pushes over
// one gRPC port.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/net/security.h"
#include "common/role_flags.h"
#include "worker/receiver/receiver_node.h"

namespace sluice {

struct ReceiverExecutorOptions {
  ExecutorRoleFlags flags;
  Security security;
  std::function<absl::StatusOr<ReceiverGraph>(const proto::ExecutorInit&)> build;
  std::function<void(const std::string&)> report = [](const std::string&) {};
};

class ReceiverExecutor {
 public:
  static absl::StatusOr<std::unique_ptr<ReceiverExecutor>> Start(ReceiverExecutorOptions options);
  ~ReceiverExecutor();  // Stop

  // Ends the receivers and hands the rest to the daemon. What a process does at SIGTERM.
  void Stop();
  const std::string& address() const;

 private:
  ReceiverExecutor();
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace sluice
