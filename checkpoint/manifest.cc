#include "checkpoint/manifest.h"

#include "checkpoint/bytes.h"
#include "common/crc32c.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr uint32_t kMagic = 0x314d5753;  // "SWM1"
constexpr size_t kChecksumOffset = 4;
constexpr size_t kSummedFrom = 8;
constexpr size_t kChainBytesMin = 12;
constexpr size_t kPartBytesMin = 4;

StateChain ReadChain(internal::FrameReader* reader) {
  StateChain chain;
  chain.operator_name = reader->String();
  chain.partition = reader->U32();
  const uint32_t count = reader->Count(kPartBytesMin);
  for (uint32_t i = 0; i < count && reader->ok(); ++i) chain.parts.emplace_back(reader->String());
  return chain;
}

}  // namespace

std::string EncodeManifest(const Manifest& manifest) {
  internal::ByteWriter writer;
  writer.U32(kMagic);
  writer.U32(0);  // the checksum, below
  writer.U64(manifest.sequence);
  writer.U64(manifest.job_instance);
  writer.U64(static_cast<uint64_t>(manifest.batch_ms));
  writer.U64(manifest.decided.slot);
  writer.U32(manifest.decided.checksum);
  writer.U32(static_cast<uint32_t>(manifest.chains.size()));
  for (const StateChain& chain : manifest.chains) {
    writer.String(chain.operator_name);
    writer.U32(chain.partition);
    writer.U32(static_cast<uint32_t>(chain.parts.size()));
    for (const std::string& part : chain.parts) writer.String(part);
  }
  writer.String(manifest.driver_payload);
  writer.PatchU32(kChecksumOffset, Crc32c(std::string_view(writer.bytes()).substr(kSummedFrom)));
  return writer.Take();
}

absl::StatusOr<Manifest> DecodeManifest(std::string_view bytes) {
  internal::FrameReader reader(bytes);
  if (reader.U32() != kMagic) reader.Fail("does not begin like a manifest");
  const uint32_t checksum = reader.U32();
  if (reader.ok() && checksum != Crc32c(bytes.substr(kSummedFrom))) {
    reader.Fail("checksum does not match");
  }
  Manifest manifest;
  manifest.sequence = reader.U64();
  manifest.job_instance = reader.U64();
  manifest.batch_ms = static_cast<int64_t>(reader.U64());
  manifest.decided.slot = reader.U64();
  manifest.decided.checksum = reader.U32();
  const uint32_t count = reader.Count(kChainBytesMin);
  for (uint32_t i = 0; i < count && reader.ok(); ++i) manifest.chains.push_back(ReadChain(&reader));
  manifest.driver_payload = reader.String();
  RETURN_IF_ERROR(reader.Finish("manifest"));
  return manifest;
}

}  // namespace sluice
