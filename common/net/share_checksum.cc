#include "common/net/share_checksum.h"

#include <cstdint>
#include <initializer_list>
#include <string>

#include "common/crc32c.h"

namespace sluice {
namespace {

uint32_t Extend(uint32_t crc, std::initializer_list<uint64_t> numbers) {
  return ExtendCrc32c(crc, {reinterpret_cast<const char*>(numbers.begin()),
                            numbers.size() * sizeof(uint64_t)});
}

// Of all fields but the checksum, in the order in which they are declared; numbers as 64 bits.
uint32_t ChecksumOf(const proto::ShareBundle& bundle) {
  uint32_t crc = Extend(0, {bundle.generation().epoch(), bundle.generation().number(),
                            bundle.job_instance(), static_cast<uint64_t>(bundle.batch_ms()),
                            bundle.stage(), bundle.from_executor()});
  for (const auto& share : bundle.shares()) {
    crc = Extend(crc, {share.edge(), share.task(), share.partition(), share.records(),
                       share.batch().size()});
    crc = ExtendCrc32c(crc, share.batch());
  }
  crc = Extend(crc, {bundle.chunk(), bundle.last_chunk(), static_cast<uint64_t>(bundle.took_us())});
  for (const auto& copied : bundle.copied()) crc = Extend(crc, {copied.task(), copied.executor()});
  crc = Extend(crc, {bundle.has_copy(), bundle.copy().task(), bundle.copy().owner()});
  if (!bundle.has_copy_result()) return crc;
  return ExtendCrc32c(crc, bundle.copy_result().SerializeAsString());
}

}  // namespace

void SealShares(proto::Envelope* message) {
  if (!message->has_share_bundle()) return;
  proto::ShareBundle& bundle = *message->mutable_share_bundle();
  bundle.set_crc32c(ChecksumOf(bundle));
}

bool SharesAreWhole(const proto::Envelope& message) {
  return !message.has_share_bundle() ||
         message.share_bundle().crc32c() == ChecksumOf(message.share_bundle());
}

}  // namespace sluice
