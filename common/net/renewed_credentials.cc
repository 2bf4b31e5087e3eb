#include "common/net/renewed_credentials.h"

#include <string>
#include <utility>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpcpp/security/auth_metadata_processor.h>

namespace sluice {
namespace {

grpc::string_ref Text(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

// What gRPC's core calls back. Lives as long as the core's credentials, which may be longer than
// the server.
class Callbacks {
 public:
  Callbacks(const Security& security, std::shared_ptr<grpc::AuthMetadataProcessor> door)
      : security_(security), door_(std::move(door)) {}

  // One call at a time.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    auto* me = static_cast<Callbacks*>(self);
    TlsTexts now = TlsOf(me->security_);
    if (now.cert == me->given_.cert && now.key == me->given_.key) {
      return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    }
    const grpc_ssl_pem_key_cert_pair pair = {now.key.c_str(), now.cert.c_str()};
    // The core insists on roots, for certificates of clients, which are not asked for.
    *config = grpc_ssl_server_certificate_config_create(now.ca.c_str(), &pair, 1);
    me->given_ = std::move(now);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  static void Process(void* self, grpc_auth_context*, const grpc_metadata* metadata, size_t count,
                      grpc_process_auth_metadata_done_cb done, void* call) {
    grpc::AuthMetadataProcessor::InputMetadata input;
    for (size_t i = 0; i < count; ++i) {
      input.emplace(Text(metadata[i].key), Text(metadata[i].value));
    }
    grpc::AuthMetadataProcessor::OutputMetadata consumed, reply;
    const grpc::Status status =
        static_cast<Callbacks*>(self)->door_->Process(input, nullptr, &consumed, &reply);
    done(call, nullptr, 0, nullptr, 0, static_cast<grpc_status_code>(status.error_code()),
         status.error_message().c_str());
  }

  static void Destroy(void* self) { delete static_cast<Callbacks*>(self); }

 private:
  const Security security_;
  const std::shared_ptr<grpc::AuthMetadataProcessor> door_;
  TlsTexts given_;
};

class Credentials : public grpc::ServerCredentials {
 public:
  Credentials(const Security& security, std::shared_ptr<grpc::AuthMetadataProcessor> door) {
    auto* callbacks = new Callbacks(security, std::move(door));
    core_ = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, &Callbacks::Fetch, callbacks));
    grpc_server_credentials_set_auth_metadata_processor(
        core_, {&Callbacks::Process, &Callbacks::Destroy, callbacks});  // owns them from here on
  }
  ~Credentials() override { grpc_server_credentials_release(core_); }

 private:
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), core_);
  }

  grpc_server_credentials* core_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> RenewedServerCredentials(
    const Security& security, std::shared_ptr<grpc::AuthMetadataProcessor> door) {
  return std::make_shared<Credentials>(security, std::move(door));
}

}  // namespace sluice
