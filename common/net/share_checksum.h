// Guards shares on their way between hosts by more than the 16 bits of TCP, where there is no TLS.
// They are the one kind of data that is sent, folded and never looked at again: blocks, parts and
// log records carry checksums of their own from birth.
#pragma once

#include "proto/cluster.pb.h"

namespace sluice {

// Puts a CRC-32C into a bundle of shares. Other messages stay as they are.
void SealShares(proto::Envelope* message);

// Whether it came as it was sealed. True of other messages.
bool SharesAreWhole(const proto::Envelope& message);

}  // namespace sluice
