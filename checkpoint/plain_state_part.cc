// The plain encoding of state parts: one checksum over all, decoded at once.
#include <utility>

#include "checkpoint/errors.h"
#include "checkpoint/state_part.h"
#include "checkpoint/state_pieces.h"
#include "common/crc32c.h"
#include "common/status.h"

namespace sluice {
namespace {

using internal::FrameReader;
using internal::ByteWriter;

constexpr uint32_t kMagic = 0x31505753;  // "SWP1"
constexpr size_t kChecksumOffset = 4;
constexpr size_t kSummedFrom = 8;
constexpr size_t kPieceBytesMin = 12;
constexpr size_t kEntryBytesMin = 17;

// A piece that was read.
struct ReadPiece {
  std::string operator_name;
  uint32_t partition = 0;
  std::vector<StateEntry> entries;
};

class PlainReader : public StatePartReader {
 public:
  explicit PlainReader(std::vector<ReadPiece> pieces) : pieces_(std::move(pieces)) {}

  absl::Status Read(const std::string& operator_name, uint32_t partition,
                    const Visitor& visitor) override {
    for (const ReadPiece& piece : pieces_) {
      if (piece.operator_name != operator_name || piece.partition != partition) continue;
      for (const StateEntry& entry : piece.entries) RETURN_IF_ERROR(visitor(StateEntry(entry)));
      return absl::OkStatus();
    }
    return absl::NotFoundError("state part without " + operator_name);
  }

  absl::Status Verify() override { return absl::OkStatus(); }  // the checksum was over all

 private:
  std::vector<ReadPiece> pieces_;
};

ReadPiece Read(FrameReader* reader) {
  ReadPiece piece;
  piece.operator_name = reader->String();
  piece.partition = reader->U32();
  const uint32_t count = reader->Count(kEntryBytesMin);
  piece.entries.reserve(count);
  for (uint32_t i = 0; i < count && reader->ok(); ++i) {
    StateEntry entry;
    entry.key = reader->String();
    FrameReader value(reader->String());
    internal::ReadEntryValue(&value, &entry);
    if (!value.ok()) reader->Fail("an entry cannot be read");
    piece.entries.push_back(std::move(entry));
  }
  return piece;
}

absl::StatusOr<std::vector<ReadPiece>> Decode(std::string_view bytes) {
  FrameReader reader(bytes);
  if (reader.U32() != kMagic) reader.Fail("does not begin like a state part");
  const uint32_t checksum = reader.U32();
  if (reader.ok() && checksum != Crc32c(bytes.substr(kSummedFrom))) {
    reader.Fail("checksum does not match");
  }
  const uint32_t count = reader.Count(kPieceBytesMin);
  std::vector<ReadPiece> pieces;
  for (uint32_t i = 0; i < count && reader.ok(); ++i) pieces.push_back(Read(&reader));
  RETURN_IF_ERROR(reader.Finish("state part"));
  return pieces;
}

class PlainCodec : public StatePartCodec {
 public:
  absl::StatusOr<std::string> Encode(std::vector<StatePiece> pieces) const override {
    RETURN_IF_ERROR(internal::SortPieces(&pieces));
    ByteWriter writer;
    size_t bytes = 0;
    for (const StatePiece& piece : pieces) {
      bytes += kPieceBytesMin + piece.operator_name.size() + piece.entries.encoded_bytes();
    }
    writer.Reserve(kSummedFrom + sizeof(uint32_t) + bytes);
    writer.U32(kMagic);
    writer.U32(0);  // the checksum, below
    writer.U32(static_cast<uint32_t>(pieces.size()));
    for (const StatePiece& piece : pieces) {
      writer.String(piece.operator_name);
      writer.U32(piece.partition);
      writer.U32(static_cast<uint32_t>(piece.entries.size()));
      for (size_t i = 0; i < piece.entries.size(); ++i) {
        const StateEntries::Encoded entry = piece.entries[i];
        writer.String(entry.key);
        writer.String(entry.value);
      }
    }
    writer.PatchU32(kChecksumOffset,
                    Crc32c(std::string_view(writer.bytes()).substr(kSummedFrom)));
    return writer.Take();
  }

  absl::StatusOr<std::unique_ptr<StatePartReader>> Open(std::string name,
                                                        std::string bytes) const override {
    absl::StatusOr<std::vector<ReadPiece>> pieces = Decode(bytes);
    if (!pieces.ok()) {
      return DamagedError("checkpoint damaged: " + name + ": " +
                          std::string(Message(pieces.status())));
    }
    return std::make_unique<PlainReader>(*std::move(pieces));
  }
};

}  // namespace

std::unique_ptr<StatePartCodec> NewPlainStatePartCodec() { return std::make_unique<PlainCodec>(); }

}  // namespace sluice
