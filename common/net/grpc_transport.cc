#include "common/net/grpc_transport.h"

#include <glog/logging.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <future>
#include <thread>
#include <utility>

#include "common/net/acceptor.h"
#include "common/net/credentials.h"
#include "common/net/grpc_link.h"
#include "common/net/grpc_link_service.h"
#include "common/net/keepalive.h"
#include "common/net/share_checksum.h"
#include "common/status.h"

namespace sluice {
namespace {

std::string Join(const std::string& host, int port) {
  const bool bare_v6 = host.find(':') != std::string::npos && host.front() != '[';
  return (bare_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace

struct GrpcTransport::Server {
  explicit Server(std::shared_ptr<internal::LinkCore> core) : links(std::move(core)) {}
  internal::LinkService links;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<Acceptor> acceptor;
};

GrpcTransport::GrpcTransport() = default;

absl::StatusOr<std::unique_ptr<GrpcTransport>> GrpcTransport::Start(GrpcTransportOptions options,
                                                                    Handler* handler) {
  const BindDecision decision = BindPolicy(options.host, options.security);
  if (!decision.allowed) return absl::FailedPreconditionError(decision.message);
  if (options.port < 0 || options.port > 65535) {
    return absl::InvalidArgumentError("no such port: " + std::to_string(options.port));
  }
  auto core = std::make_shared<internal::LinkCore>(options, handler);
  auto state = std::make_unique<Server>(core);
  ASSIGN_OR_RETURN(state->acceptor, Acceptor::Listen(options.host, options.port));
  grpc::ServerBuilder builder;
  auto take = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      MakeServerCredentials(options.host, options.security));
  SetKeepalive([&](const char* name, int value) { builder.AddChannelArgument(name, value); });
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  builder.SetMaxSendMessageSize(-1);
  builder.RegisterService(&state->links);
  for (grpc::Service* service : options.services) builder.RegisterService(service);
  state->server = builder.BuildAndStart();
  if (state->server == nullptr) {
    return absl::InvalidArgumentError("cannot serve with this certificate: " + options.host);
  }

  std::unique_ptr<GrpcTransport> transport(new GrpcTransport);
  transport->address_ =
      Join(options.advertise.empty() ? options.host : options.advertise, state->acceptor->port());
  transport->core_ = std::move(core);
  transport->core_->Start(transport->address_);
  state->acceptor->Start([take = std::shared_ptr(std::move(take))](int listener, int connection) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters made;
    made.listener_fd = listener;
    made.fd = connection;
    take->HandleNewConnection(&made);
  });
  transport->server_ = std::move(state);
  return transport;
}

GrpcTransport::~GrpcTransport() { Shutdown(1'000'000); }

void GrpcTransport::Send(const std::string& to, proto::Envelope message) {
  SealShares(&message);
  core_->Send(to, std::move(message));
}

void GrpcTransport::Introduce(const std::string& address, const std::string& job) {
  core_->Introduce(address, job);
}

size_t GrpcTransport::links() const { return core_->links(); }

void GrpcTransport::Shutdown(int64_t deadline_us) {
  if (server_ == nullptr) return;
  const MonotonicTime deadline = RealClock().MonotonicUs() + deadline_us;
  // The server's own end is awaited on a thread that may be left behind: a call of another
  // service that ignores its cancellation would hold it for ever.
  auto ended = std::make_shared<std::promise<void>>();
  std::future<void> end = ended->get_future();
  Server* server = server_.release();
  server->acceptor.reset();
  server->links.Close();
  const auto by = std::chrono::system_clock::now() + std::chrono::microseconds(deadline_us);
  std::thread([server, ended, by] {
    server->server->Shutdown(by);
    delete server;
    ended->set_value();
  }).detach();
  const bool links_done = core_->Close(deadline);
  const MonotonicTime left = deadline - RealClock().MonotonicUs() + 500'000;
  const bool server_done =
      end.wait_for(std::chrono::microseconds(left)) == std::future_status::ready;
  if (!links_done || !server_done) LOG(ERROR) << "calls did not end in time, left behind";
}

}  // namespace sluice
