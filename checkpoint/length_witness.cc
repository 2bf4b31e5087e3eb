#include "checkpoint/length_witness.h"

#include "checkpoint/bytes.h"
#include "checkpoint/errors.h"
#include "common/crc32c.h"
#include "common/kill_point.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr uint32_t kMagic = 0x31575753;  // "SWW1"
constexpr size_t kCopyDistance = 4096;
constexpr size_t kCopyBytes = 16;
constexpr size_t kSummedBytes = 12;

std::string Encode(uint64_t length) {
  internal::ByteWriter writer;
  writer.U32(kMagic);
  writer.U64(length);
  writer.U32(Crc32c(writer.bytes()));
  return writer.Take();
}

std::optional<uint64_t> Decode(std::string_view file, int copy) {
  const size_t offset = static_cast<size_t>(copy) * kCopyDistance;
  if (file.size() < offset + kCopyBytes) return std::nullopt;
  const std::string_view bytes = file.substr(offset, kCopyBytes);
  internal::FrameReader reader(bytes);
  const uint32_t magic = reader.U32();
  const uint64_t length = reader.U64();
  const uint32_t checksum = reader.U32();
  if (magic != kMagic || checksum != Crc32c(bytes.substr(0, kSummedBytes))) return std::nullopt;
  return length;
}

}  // namespace

absl::Status LengthWitness::Load() {
  length_.reset();
  const absl::StatusOr<std::string> file = files_->Read(path_);
  if (absl::IsNotFound(file.status())) return absl::OkStatus();
  if (!file.ok()) return file.status();
  for (int copy : {0, 1}) {
    const std::optional<uint64_t> length = Decode(*file, copy);
    if (!length || (length_ && *length_ >= *length)) continue;
    length_ = length;
    newer_copy_ = copy;
  }
  if (length_) return absl::OkStatus();
  return DamagedError("driver log damaged: " + path_ + ": offset 0: no whole copy of the witness");
}

// The file is there whole or not at all: one that is not whole is damage.
absl::Status LengthWitness::Make(std::string_view bytes, bool sync) {
  const std::string aside = path_ + ".new";
  (void)files_->Remove(aside);
  RETURN_IF_ERROR(files_->Write(aside, 0, bytes));
  if (sync) RETURN_IF_ERROR(files_->SyncFile(aside));
  RETURN_IF_ERROR(files_->LinkIfAbsent(aside, path_));
  (void)files_->Remove(aside);
  return sync ? files_->SyncDirectory(ParentOf(path_)) : absl::OkStatus();
}

absl::Status LengthWitness::Raise(uint64_t length, bool sync) {
  if (length_ && *length_ >= length) return absl::OkStatus();
  const int copy = length_.has_value() ? 1 - newer_copy_ : 0;
  if (!length_.has_value()) {
    RETURN_IF_ERROR(Make(Encode(length), sync));
  } else {
    RETURN_IF_ERROR(files_->Write(path_, static_cast<uint64_t>(copy) * kCopyDistance,
                                  Encode(length)));
    Pass(KillPoint::kWitnessWritten);
    if (sync) RETURN_IF_ERROR(files_->SyncFile(path_));
  }
  length_ = length;
  newer_copy_ = copy;
  return absl::OkStatus();
}

}  // namespace sluice
