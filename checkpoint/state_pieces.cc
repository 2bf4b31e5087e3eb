#include "checkpoint/state_pieces.h"

#include <algorithm>
#include <tuple>

#include "common/status.h"

namespace sluice::internal {
namespace {

constexpr size_t kNameBytesMax = 65535;
constexpr uint8_t kRemoved = 1;
constexpr uint8_t kHasTimer = 2;

// The first bytes of a key as a number of the same order.
uint64_t HeadOf(std::string_view key) {
  uint64_t head = 0;
  for (size_t i = 0; i < 8; ++i) {
    head = head << 8 | (i < key.size() ? static_cast<unsigned char>(key[i]) : 0);
  }
  return head;
}

// Entries are large: what is sorted are the heads of their keys, with their places.
void SortByKey(std::vector<StateEntry>& entries) {
  std::vector<std::pair<uint64_t, uint32_t>> order(entries.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = {HeadOf(entries[i].key), i};
  std::sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first < b.first;
    return entries[a.second].key < entries[b.second].key;
  });
  std::vector<StateEntry> sorted;
  sorted.reserve(entries.size());
  for (const auto& [head, place] : order) sorted.push_back(std::move(entries[place]));
  entries = std::move(sorted);
}

absl::Status SortEntries(StatePiece* piece) {
  const auto key_of = [](const StateEntry& entry) -> const std::string& { return entry.key; };
  SortByKey(piece->entries);
  if (std::ranges::adjacent_find(piece->entries, {}, key_of) != piece->entries.end()) {
    return absl::InvalidArgumentError("state part: a key of " + piece->operator_name +
                                      " is there twice");
  }
  for (const StateEntry& entry : piece->entries) {
    if (!entry.removed || (entry.value.empty() && !entry.timer_ms.has_value())) continue;
    return absl::InvalidArgumentError("state part: a removed entry of " + piece->operator_name +
                                      " has a value or a timer");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SortPieces(std::vector<StatePiece>* pieces) {
  const auto place_of = [](const StatePiece& piece) {
    return std::tie(piece.operator_name, piece.partition);
  };
  std::ranges::sort(*pieces, {}, place_of);
  if (std::ranges::adjacent_find(*pieces, {}, place_of) != pieces->end()) {
    return absl::InvalidArgumentError("state part: a piece is there twice");
  }
  for (StatePiece& piece : *pieces) {
    if (piece.operator_name.empty() || piece.operator_name.size() > kNameBytesMax) {
      return absl::InvalidArgumentError("state part: an operator's name has a bad length");
    }
    RETURN_IF_ERROR(SortEntries(&piece));
  }
  return absl::OkStatus();
}

void WriteEntryValue(const StateEntry& entry, ByteWriter* writer) {
  writer->U8((entry.removed ? kRemoved : 0) | (entry.timer_ms.has_value() ? kHasTimer : 0));
  writer->U64(entry.insertion);
  if (entry.timer_ms.has_value()) writer->U64(static_cast<uint64_t>(*entry.timer_ms));
  writer->Raw(entry.value);
}

void ReadEntryValue(FrameReader* reader, StateEntry* entry) {
  const uint8_t flags = reader->U8();
  if ((flags & ~(kRemoved | kHasTimer)) != 0) reader->Fail("unknown flags of an entry");
  entry->removed = (flags & kRemoved) != 0;
  entry->insertion = reader->U64();
  entry->timer_ms.reset();
  if ((flags & kHasTimer) != 0) entry->timer_ms = static_cast<int64_t>(reader->U64());
  entry->value = reader->Rest();
}

}  // namespace sluice::internal
