#include "common/net/credentials.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "common/net/access.h"
#include "common/net/keepalive.h"
#include "common/net/renewed_credentials.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr char kAuthorization[] = "authorization";

std::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

template <class Metadata>
std::string_view Find(const Metadata& metadata, const char* key) {
  auto found = metadata.find(key);
  return found == metadata.end() ? std::string_view() : View(found->second);
}

// The door. Called by gRPC for every call before its service. Nothing may be kept in the
// AuthContext: all calls of a connection share it.
class Door : public grpc::AuthMetadataProcessor {
 public:
  explicit Door(Security security) : security_(std::move(security)) {}
  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext*, OutputMetadata*,
                       OutputMetadata*) override {
    absl::StatusOr<Caller> caller = VerifyCaller(security_, Find(metadata, kAuthorization));
    if (!caller.ok()) {
      return grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                          std::string(Message(caller.status())));
    }
    absl::Status allowed = CheckAccess(Find(metadata, ":path"), *caller);
    if (!allowed.ok()) {
      return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, std::string(Message(allowed)));
    }
    return grpc::Status::OK;
  }

 private:
  const Security security_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const std::string& host,
                                                               const Security& security) {
  auto door = std::make_shared<Door>(security);
  if (!security.key_pem.empty()) return RenewedServerCredentials(security, door);
  if (!IsLoopback(host)) return grpc::InsecureServerCredentials();
  // Nothing on the wire, but, unlike insecure credentials, with a metadata processor.
  auto credentials = grpc::experimental::LocalServerCredentials(LOCAL_TCP);
  credentials->SetAuthMetadataProcessor(door);
  return credentials;
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const Security& security,
                                           const std::string& job) {
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  if (security.tls()) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = TrustedRoots(security, job);
    credentials = grpc::SslCredentials(options);
  } else {
    credentials = grpc::InsecureChannelCredentials();
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetServiceConfigJSON("{}");
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  SetKeepalive([&](const char* name, int value) { arguments.SetInt(name, value); });
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

void Authorize(grpc::ClientContext& context, const std::string& address, const Security& security,
               const std::string& job) {
  if (!security.tls() && !IsLoopback(address.substr(0, address.rfind(':')))) return;
  const std::string token = TokenFor(security, job);
  if (!token.empty()) context.AddMetadata(kAuthorization, "Bearer " + token);
}

Caller CallerOf(const grpc::ServerContextBase& context, const Security& security) {
  auto caller = VerifyCaller(security, Find(context.client_metadata(), kAuthorization));
  return caller.ok() ? *caller : Caller{};
}

}  // namespace sluice
