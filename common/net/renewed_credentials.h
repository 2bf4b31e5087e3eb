// TLS of a server whose certificate may be renewed while it runs.
#pragma once

#include <memory>

#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/server_credentials.h>

#include "common/net/security.h"

namespace sluice {

// gRPC's own TLS, which asks `security` at each handshake what certificate it has now. For one
// server. `door` does not block, looks at no AuthContext, and neither consumes nor answers
// metadata.
std::shared_ptr<grpc::ServerCredentials> RenewedServerCredentials(
    const Security& security, std::shared_ptr<grpc::AuthMetadataProcessor> door);

}  // namespace sluice
