// A small HTTP server for health, metrics and read-only JSON. Pages only read: there is GET and
// nothing else.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/net/security.h"

namespace sluice {

struct HttpRequest {
  std::string path;
  std::string tail;  // what stands for the star of the route
  std::map<std::string, std::string> query;
};

struct HttpReply {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

enum class HttpAccess {
  kAnybody,  // also without a token: health
  kClient,   // with the cluster's token, where there is one
};

using HttpHandler = std::function<HttpReply(const HttpRequest&)>;

// Every route says who may ask; there is no default. `path` is exact, or ends in "/*": then one
// segment of [A-Za-z0-9._-], not beginning with a dot, stands for the star.
struct HttpRoute {
  HttpRoute(std::string path, HttpAccess access, HttpHandler handler)
      : path(std::move(path)), access(access), handler(std::move(handler)) {}
  std::string path;
  HttpAccess access;
  HttpHandler handler;
};

// /livez, /readyz and /startupz: 200 "ok" or 503 "not yet".
void AddHealthRoutes(std::vector<HttpRoute>* routes, std::function<bool()> started,
                     std::function<bool()> ready);

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 0;
  Security security = {};
  // What a client may take to send a request whole; then its connection is closed.
  std::chrono::milliseconds request_time{5000};
};

// Listens from Start to its end. Handlers are called on some threads of its own, one call per
// request, and must be thread-safe. Clients that send nothing, or slowly, keep no other from its
// answer: connections are bounded in number, and the one that is without a request for longest
// makes room for the next.
class HttpServer {
 public:
  // Errors as GrpcTransport::Start: AlreadyExists, FailedPrecondition, InvalidArgument.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(HttpOptions options,
                                                           std::vector<HttpRoute> routes);
  ~HttpServer();
  const std::string& address() const { return address_; }  // HOST:PORT

 private:
  struct Impl;
  HttpServer();
  std::string address_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
