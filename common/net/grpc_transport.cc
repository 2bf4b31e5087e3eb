#include "common/net/grpc_transport.h"

#include <glog/logging.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <future>
#include <thread>
#include <utility>

#include "common/net/credentials.h"
#include "common/net/grpc_link.h"
#include "common/net/grpc_link_service.h"
#include "common/net/keepalive.h"

namespace sluice {
namespace {

std::string Join(const std::string& host, int port) {
  const bool bare_v6 = host.find(':') != std::string::npos && host.front() != '[';
  return (bare_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string Unbracketed(const std::string& host) {
  return host.size() > 2 && host.front() == '[' ? host.substr(1, host.size() - 2) : host;
}

// Why gRPC could not bind: it does not tell, so the same bind is tried by hand.
absl::Status BindError(const std::string& host, int port) {
  const std::string where = Join(host, port);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(Unbracketed(host).c_str(), std::to_string(port).c_str(), &hints,
                                 &found);
  if (failed != 0) {
    return absl::InvalidArgumentError("no such host to listen on: " + where + ": " +
                                      gai_strerror(failed));
  }
  int error = 0;
  for (addrinfo* at = found; at != nullptr && error == 0; at = at->ai_next) {
    const int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) != 0) error = errno;
    if (error == 0 && listen(fd, 1) != 0) error = errno;
    close(fd);
  }
  freeaddrinfo(found);
  if (error == EADDRINUSE) return absl::AlreadyExistsError("port in use: " + where);
  return absl::InvalidArgumentError("cannot listen on " + where + ": " +
                                    (error != 0 ? strerror(error) : "unknown reason"));
}

}  // namespace

struct GrpcTransport::Server {
  explicit Server(std::shared_ptr<internal::LinkCore> core) : links(std::move(core)) {}
  internal::LinkService links;
  std::unique_ptr<grpc::Server> server;
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
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(Join(options.host, options.port),
                           MakeServerCredentials(options.host, options.security), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  SetKeepalive([&](const char* name, int value) { builder.AddChannelArgument(name, value); });
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  builder.SetMaxSendMessageSize(-1);
  builder.RegisterService(&state->links);
  for (grpc::Service* service : options.services) builder.RegisterService(service);
  state->server = builder.BuildAndStart();
  if (state->server == nullptr || port == 0) return BindError(options.host, options.port);

  std::unique_ptr<GrpcTransport> transport(new GrpcTransport);
  transport->address_ =
      Join(options.advertise.empty() ? options.host : options.advertise, port);
  transport->core_ = std::move(core);
  transport->server_ = std::move(state);
  transport->core_->Start(transport->address_);
  return transport;
}

GrpcTransport::~GrpcTransport() { Shutdown(1'000'000); }

void GrpcTransport::Send(const std::string& to, proto::Envelope message) {
  core_->Send(to, std::move(message));
}

void GrpcTransport::Shutdown(int64_t deadline_us) {
  if (server_ == nullptr) return;
  const MonotonicTime deadline = RealClock().MonotonicUs() + deadline_us;
  // The server's own end is awaited on a thread that may be left behind: a call of another
  // service that ignores its cancellation would hold it for ever.
  auto ended = std::make_shared<std::promise<void>>();
  std::future<void> end = ended->get_future();
  Server* server = server_.release();
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
