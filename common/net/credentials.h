// gRPC's own credentials, made from a Security. The one door of authentication and authorization.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_context.h>

#include "common/net/security.h"

namespace sluice {

// Largest message either side takes. Senders cut what they can into chunks of 1 MiB.
inline constexpr int kMessageBytesMax = 80 << 20;

// TLS when there is a key, else for loopback peers only, else (insecure) for anybody. In the first
// two every call passes the method table before its service sees it; the third asks nothing.
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const std::string& host,
                                                               const Security& security);

// A channel of its own connection to a process of `job`, or, empty, a daemon; with keepalive and
// message sizes set. It trusts whom `security` trusts now. Nothing is sent yet.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const Security& security,
                                           const std::string& job = "");

// Puts what this process presents to a process of `job` (or, empty, a daemon) at `address` on a
// call. Without TLS a token stays on this machine: nothing is presented beyond loopback.
void Authorize(grpc::ClientContext& context, const std::string& address, const Security& security,
               const std::string& job);

// Who makes this call. Only for calls that the door let through.
Caller CallerOf(const grpc::ServerContextBase& context, const Security& security);

}  // namespace sluice
