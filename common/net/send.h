// The one command that every core has in common: a message to an address.
#pragma once

#include <string>

#include "proto/cluster.pb.h"

namespace sluice {

struct Send {
  std::string to;  // HOST:PORT
  proto::Envelope message;
};

}  // namespace sluice
