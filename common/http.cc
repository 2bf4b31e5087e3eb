#include "common/http.h"

#include <errno.h>
#include <glog/logging.h>
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "common/http_connection.h"
#include "common/http_threads.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr size_t kRequestBodyMax = 4096;
constexpr int kRequestsMax = 5;  // of one connection
constexpr auto kAnswerTime = std::chrono::seconds(10);
constexpr auto kListenAgain = std::chrono::milliseconds(100);

bool IsSegment(const std::string& text) {
  return !text.empty() && text.size() <= 100 && text.front() != '.' &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789._-") == text.npos;
}

// Whether `path` is the route's; fills in the tail.
bool Matches(const HttpRoute& route, const std::string& path, std::string* tail) {
  if (!route.path.ends_with("/*")) return route.path == path;
  const std::string prefix = route.path.substr(0, route.path.size() - 1);
  if (!path.starts_with(prefix)) return false;
  *tail = path.substr(prefix.size());
  return IsSegment(*tail);
}

HttpReply Plain(int status, std::string text) {
  HttpReply reply;
  reply.status = status;
  reply.body = std::move(text);
  return reply;
}

// The table's one reader: finds the route, asks whether the caller may, calls the handler.
HttpReply Answer(const std::vector<HttpRoute>& routes, const Security& security,
                 const httplib::Request& request) {
  if (request.method != "GET" && request.method != "HEAD") return Plain(405, "only GET\n");
  HttpRequest asked;
  asked.path = request.path;
  for (const HttpRoute& route : routes) {
    if (!Matches(route, request.path, &asked.tail)) continue;
    if (route.access == HttpAccess::kClient) {
      auto caller = VerifyCaller(security, request.get_header_value("Authorization"));
      if (!caller.ok()) return Plain(401, std::string(Message(caller.status())) + "\n");
      if ((caller->kinds & kClient) == 0) return Plain(403, "not allowed\n");
    }
    for (const auto& [name, value] : request.params) asked.query[name] = value;
    return route.handler(asked);
  }
  return Plain(404, "no such page\n");
}

void Fill(httplib::Response& response, HttpReply reply) {
  response.status = reply.status;
  response.set_content(std::move(reply.body), reply.type.c_str());
  response.set_header("Content-Security-Policy",
                      "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; "
                      "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
                      "form-action 'none'");
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_header("X-Frame-Options", "DENY");
  response.set_header("Referrer-Policy", "no-referrer");
  response.set_header("Cache-Control", "no-store");
  if (reply.status == 401) response.set_header("WWW-Authenticate", "Bearer");
  if (reply.status == 405) response.set_header("Allow", "GET, HEAD");
}

// The types of OpenSSL come with the library, whose interface they are.
using Text = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Text TextOf(const std::string& pem) {
  return Text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
}

Certificate NextCertificate(const Text& text) {
  return Certificate(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr), X509_free);
}

// A server's certificate, its key, and what follows in its file: those of authorities between it
// and the one that clients trust.
struct Pair {
  explicit Pair(const TlsTexts& tls) {
    const Text text = TextOf(tls.cert);
    certificate = NextCertificate(text);
    while (Certificate next = NextCertificate(text)) chain.push_back(std::move(next));
    key.reset(PEM_read_bio_PrivateKey(TextOf(tls.key).get(), nullptr, nullptr, nullptr));
    ERR_clear_error();  // of the end of the file
  }
  Certificate certificate{nullptr, X509_free};
  Key key{nullptr, EVP_PKEY_free};
  std::vector<Certificate> chain;
};

// Called by OpenSSL within each handshake: the certificate may have been renewed.
int GiveCertificate(SSL* connection, void* security) {
  const Pair now(TlsOf(*static_cast<const Security*>(security)));
  if (SSL_use_certificate(connection, now.certificate.get()) != 1 ||
      SSL_use_PrivateKey(connection, now.key.get()) != 1) {
    return 0;
  }
  for (const Certificate& next : now.chain) {
    if (SSL_add1_chain_cert(connection, next.get()) != 1) return 0;
  }
  return 1;
}

using TlsContext = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

// Null where certificate and key do not fit together. `security` outlives it.
TlsContext NewTlsContext(Security* security) {
  const Pair start(TlsOf(*security));
  TlsContext tls(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX_set_min_proto_version(tls.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(tls.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  if (SSL_CTX_use_certificate(tls.get(), start.certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(tls.get(), start.key.get()) != 1) {
    ERR_clear_error();
    return TlsContext(nullptr, SSL_CTX_free);
  }
  SSL_CTX_set_cert_cb(tls.get(), &GiveCertificate, security);
  return tls;
}

// The library's server, with connections that are bounded in time and in number.
class Listener : public httplib::Server {
 public:
  // `tls` is null for a server without, and outlives this.
  Listener(SSL_CTX* tls, std::chrono::milliseconds request_time)
      : tls_(tls), request_time_(request_time) {
    new_task_queue = [this] { return threads_ = new HttpThreads; };  // the library's, then
  }
  // Once bound. The library has five clients wait to be accepted, and the next try for seconds.
  void LengthenQueue() { ::listen(svr_sock_, SOMAXCONN); }

 private:
  bool process_and_close_socket(socket_t socket) override {
    HttpConnection connection(socket, tls_);
    bool good = true;
    bool closed = false;
    for (int left = kRequestsMax; good && !closed && left > 0; --left) {
      connection.Allow(request_time_);
      threads_->Waits(&connection);
      good = process_request(connection, left == 1, closed, [&](httplib::Request&) {
        threads_->WaitsNoMore(&connection);
        connection.Allow(kAnswerTime);
      });
      threads_->WaitsNoMore(&connection);
    }
    return good;
  }

  SSL_CTX* const tls_;
  const std::chrono::milliseconds request_time_;
  HttpThreads* threads_ = nullptr;  // of the present listen_after_bind
};

}  // namespace

struct HttpServer::Impl {
  std::vector<HttpRoute> routes;
  Security security;
  TlsContext tls{nullptr, SSL_CTX_free};
  std::unique_ptr<Listener> server;
  std::string host;
  int port = 0;
  std::atomic<bool> ending = false;
  std::atomic<bool> over = false;
  std::thread thread;

  // The library closes its listener for good when it cannot accept, but for two reasons.
  void Serve() {
    bool bound = true;
    server->LengthenQueue();
    while (!(bound && server->listen_after_bind()) && !ending) {
      LOG_IF(ERROR, bound) << "cannot accept for pages, listening anew: port=" << port;
      std::this_thread::sleep_for(kListenAgain);
      bound = server->bind_to_port(host, port);
      if (bound) server->LengthenQueue();
    }
    over = true;
  }
};

HttpServer::HttpServer() : impl_(std::make_unique<Impl>()) {}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(HttpOptions options,
                                                              std::vector<HttpRoute> routes) {
  const BindDecision decision = BindPolicy(options.host, options.security);
  if (!decision.allowed) return absl::FailedPreconditionError(decision.message);
  std::unique_ptr<HttpServer> http(new HttpServer);
  Impl* impl = http->impl_.get();
  impl->routes = std::move(routes);
  impl->security = options.security;
  if (!impl->security.key_pem.empty()) {
    impl->tls = NewTlsContext(&impl->security);
    if (impl->tls == nullptr) {
      return absl::InvalidArgumentError("certificate and key do not fit together");
    }
  }
  impl->server = std::make_unique<Listener>(impl->tls.get(), options.request_time);
  httplib::Server& server = *impl->server;
  server.set_payload_max_length(kRequestBodyMax);
  // The library's own options would let two servers share a port.
  server.set_socket_options([](socket_t socket) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
  // Before the library routes: it answers some methods by itself.
  server.set_pre_routing_handler([impl](const httplib::Request& request,
                                        httplib::Response& response) {
    Fill(response, Answer(impl->routes, impl->security, request));
    return httplib::Server::HandlerResponse::Handled;
  });

  std::string& host = impl->host;
  host = options.host;
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  errno = 0;
  int& port = impl->port;
  port = options.port;
  if (port == 0) {
    port = server.bind_to_any_port(host);
  } else if (!server.bind_to_port(host, port)) {
    port = -1;
  }
  if (port < 0) {
    const std::string where = options.host + ":" + std::to_string(options.port);
    if (errno == EADDRINUSE) return absl::AlreadyExistsError("port in use: " + where);
    return absl::InvalidArgumentError("cannot listen on " + where + ": " + strerror(errno));
  }
  const bool bare_v6 = options.host.find(':') != std::string::npos && options.host[0] != '[';
  http->address_ = (bare_v6 ? "[" + options.host + "]" : options.host) + ":" +
                   std::to_string(port);
  impl->thread = std::thread([impl] { impl->Serve(); });
  return http;
}

HttpServer::~HttpServer() {
  if (!impl_->thread.joinable()) return;
  impl_->ending = true;
  while (!impl_->server->is_running() && !impl_->over) {  // or stop() would be lost
    std::this_thread::yield();
  }
  impl_->server->stop();
  impl_->thread.join();
}

void AddHealthRoutes(std::vector<HttpRoute>* routes, std::function<bool()> started,
                     std::function<bool()> ready) {
  auto answer = [](std::function<bool()> good) {
    return [good = std::move(good)](const HttpRequest&) {
      return good() ? Plain(200, "ok\n") : Plain(503, "not yet\n");
    };
  };
  routes->emplace_back("/livez", HttpAccess::kAnybody, answer([] { return true; }));
  routes->emplace_back("/startupz", HttpAccess::kAnybody, answer(std::move(started)));
  routes->emplace_back("/readyz", HttpAccess::kAnybody, answer(std::move(ready)));
}

}  // namespace sluice
