// Packets with a descriptor on a unix socket: what server and client have in common.
#pragma once

#include <sys/un.h>

#include <cstddef>
#include <string>

#include "worker/shm/mapping.h"

namespace sluice::internal {

// The address of a socket at a path of any length: one that does not fit is reached through its
// directory, which `directory` keeps open. False: that cannot be done.
bool FillAddress(const std::string& path, sockaddr_un* address, UniqueFd* directory);
// One packet, with `fd` unless it is -1. False: not sent whole; without `wait` also when the other
// side does not take it at once.
bool SendPacket(int socket, const void* data, size_t bytes, int fd, bool wait = false);
// Waits for one packet of exactly `bytes`; takes at most one descriptor. False: the other side
// is gone or sent something else.
bool ReceivePacket(int socket, void* data, size_t bytes, UniqueFd* fd);

}  // namespace sluice::internal
