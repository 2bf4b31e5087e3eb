// One connection of an HTTP server, plain or by TLS: the library's own has a bound on the time
// between two bytes only, so that a slow client holds it, and its thread, as long as it likes.
#pragma once

#include <httplib.h>

#include <array>
#include <chrono>

namespace sluice {

// Of one thread, but for Cut.
class HttpConnection : public httplib::Stream {
 public:
  // Owns `socket`. `tls` is null for a plain connection; the handshake is part of the first read.
  HttpConnection(socket_t socket, SSL_CTX* tls);
  ~HttpConnection() override;

  // What is read and written from now on, until the next call, takes `time` in all, and reads
  // kRequestBytesMax bytes at most; behind that both fail.
  void Allow(std::chrono::milliseconds time);
  // Has the thread that reads or writes fail at once. Callable from any thread.
  void Cut();

  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, size_t size) override;
  ssize_t write(const char* from, size_t size) override;
  // Nobody here asks who a client is.
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return socket_; }

 private:
  static constexpr size_t kRequestBytesMax = 64 * 1024;

  ssize_t Receive();
  // Whether the socket is ready to go on after `result`, which was no success; waits for that.
  bool MayGoOn(ssize_t result, short plain_event);

  const socket_t socket_;
  SSL* tls_ = nullptr;
  std::chrono::steady_clock::time_point until_;
  size_t bytes_left_ = 0;
  std::array<char, 4096> buffer_;
  size_t begin_ = 0, end_ = 0;  // of what was received and not read yet
};

}  // namespace sluice
