#include "common/http_connection.h"

#include <errno.h>
#include <fcntl.h>
#include <glog/logging.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace sluice {

HttpConnection::HttpConnection(socket_t socket, SSL_CTX* tls) : socket_(socket) {
  fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
  if (tls == nullptr) return;
  tls_ = SSL_new(tls);
  CHECK(tls_ != nullptr) << "no memory for a connection";  // null would be one in clear
  SSL_set_fd(tls_, socket);
  SSL_set_accept_state(tls_);
}

HttpConnection::~HttpConnection() {
  if (tls_ != nullptr) {
    SSL_shutdown(tls_);
    SSL_free(tls_);
    ERR_clear_error();
  }
  shutdown(socket_, SHUT_RDWR);
  close(socket_);
}

void HttpConnection::Allow(std::chrono::milliseconds time) {
  until_ = std::chrono::steady_clock::now() + time;
  bytes_left_ = kRequestBytesMax;
}

void HttpConnection::Cut() { shutdown(socket_, SHUT_RDWR); }

ssize_t HttpConnection::read(char* to, size_t size) {
  if (begin_ == end_) {
    const ssize_t received = Receive();
    if (received <= 0) return -1;
    begin_ = 0;
    end_ = received;
  }
  const size_t taken = std::min({size, end_ - begin_, bytes_left_});
  if (taken == 0) return -1;
  memcpy(to, buffer_.data() + begin_, taken);
  begin_ += taken;
  bytes_left_ -= taken;
  return taken;
}

ssize_t HttpConnection::Receive() {
  ssize_t result = 0;
  do {
    ERR_clear_error();
    result = tls_ != nullptr ? SSL_read(tls_, buffer_.data(), buffer_.size())
                             : recv(socket_, buffer_.data(), buffer_.size(), 0);
  } while (result <= 0 && MayGoOn(result, POLLIN));
  return result;
}

ssize_t HttpConnection::write(const char* from, size_t size) {
  ssize_t result = 0;
  do {
    ERR_clear_error();
    result = tls_ != nullptr ? SSL_write(tls_, from, std::min<size_t>(size, 1 << 20))
                             : send(socket_, from, size, MSG_NOSIGNAL);
  } while (result <= 0 && MayGoOn(result, POLLOUT));
  return result > 0 ? result : -1;
}

bool HttpConnection::MayGoOn(ssize_t result, short plain_event) {
  pollfd waited{socket_, plain_event, 0};
  if (tls_ != nullptr) {
    const int why = SSL_get_error(tls_, result);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return false;
    waited.events = why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
  } else if (result == 0 || (errno != EAGAIN && errno != EINTR)) {
    return false;
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      until_ - std::chrono::steady_clock::now());
  if (left.count() <= 0) return false;
  return poll(&waited, 1, static_cast<int>(left.count())) > 0 || errno == EINTR;
}

}  // namespace sluice
