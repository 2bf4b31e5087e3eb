#include "sluice/printing.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <string>

namespace sluice {

absl::Status PrintTo(int descriptor, std::string_view text) {
  std::cout.flush();
  while (!text.empty()) {
    const ssize_t written = write(descriptor, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {  // somebody else has made it so
      pollfd room = {descriptor, POLLOUT, 0};
      (void)poll(&room, 1, -1);
    } else if (errno == ENOSPC || errno == EDQUOT) {
      return absl::UnavailableError(std::string("standard output: ") + std::strerror(errno));
    } else if (errno != EINTR) {
      LOG_FIRST_N(WARNING, 1) << "what is printed is not shown any more: standard output: "
                              << std::strerror(errno);
      break;
    }
  }
  return absl::OkStatus();
}

void HoldStandardDescriptors() {
  int next = 0;
  do {
    next = open("/dev/null", O_RDWR);
  } while (next >= 0 && next <= STDERR_FILENO);
  if (next > STDERR_FILENO) close(next);
}

}  // namespace sluice
