// The table of all methods of all services, and who may call them. What is not in the table is
// refused to everybody; a test holds the table against the services' descriptors.
#pragma once

#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "common/net/security.h"
#include "proto/cluster.pb.h"

namespace sluice {

struct MethodAccess {
  std::string_view path;  // "/package.Service/Method"
  unsigned callers;       // bits of CallerKind
};

std::span<const MethodAccess> MethodTable();

// PermissionDenied, or OK.
absl::Status CheckAccess(std::string_view path, const Caller& caller);

// Whether a process that holds only a job's token may send such a message over a link. What a job
// has no business to say (registering workers, copying blocks) is dropped at the door.
bool JobMaySend(proto::Envelope::MessageCase message);
// The same, of the process of this job: one that names a job names its own.
bool JobMaySend(const proto::Envelope& message, std::string_view job);

}  // namespace sluice
