#include "worker/shm/block_memory.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr uint64_t kAlign = 4096;            // blocks begin on pages
constexpr uint64_t kCommitStep = 256 << 10;  // memory is backed in steps of this

uint64_t RoundUp(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

}  // namespace

BlockMemory::BlockMemory(uint64_t segment_bytes)
    : segment_bytes_(RoundUp(std::max<uint64_t>(segment_bytes, 1), kCommitStep)) {}

absl::StatusOr<uint32_t> BlockMemory::AddSegment(uint64_t bytes, bool dedicated) {
  auto fd = NewMemoryFile("sluice-blocks", bytes);
  if (!fd.ok()) return fd.status();
  auto mapping = Mapping::Map(fd->get(), bytes, /*writable=*/true);
  if (!mapping.ok()) return mapping.status();
  if (auto sealed = SealAgainstOthers(fd->get()); !sealed.ok()) return sealed;
  Segment& segment = segments_[++last_id_];
  segment.fd = std::move(*fd);
  segment.mapping = std::move(*mapping);
  segment.dedicated = dedicated;
  segment.free[0] = bytes;
  return last_id_;
}

absl::StatusOr<Extent> BlockMemory::Take(uint32_t id, uint64_t length) {
  Segment& segment = segments_.at(id);
  const uint64_t rounded = RoundUp(std::max<uint64_t>(length, 1), kAlign);
  for (auto run = segment.free.begin(); run != segment.free.end(); ++run) {
    if (run->second < rounded) continue;
    const auto [offset, free_bytes] = *run;
    const uint64_t end = offset + rounded;
    if (end > segment.committed) {
      const uint64_t target = std::min(RoundUp(end, kCommitStep), segment.mapping.bytes());
      const uint64_t more = target - segment.committed;
      auto committed = Commit(segment.fd.get(), segment.committed, more);
      if (!committed.ok()) return committed;
      segment.committed = target;
      committed_bytes_ += more;
    }
    segment.free.erase(run);
    if (free_bytes > rounded) segment.free[end] = free_bytes - rounded;
    return Extent{id, offset, length};
  }
  return absl::NotFoundError("no run of that size");
}

absl::StatusOr<Extent> BlockMemory::Allocate(uint64_t length) {
  const bool dedicated = RoundUp(length, kAlign) > segment_bytes_;
  if (!dedicated) {
    for (const auto& [id, segment] : segments_) {
      if (segment.dedicated) continue;
      auto extent = Take(id, length);
      if (extent.ok() || !absl::IsNotFound(extent.status())) return extent;
    }
  }
  auto id = AddSegment(dedicated ? RoundUp(length, kAlign) : segment_bytes_, dedicated);
  if (!id.ok()) return id.status();
  auto extent = Take(*id, length);
  if (!extent.ok()) {
    committed_bytes_ -= segments_.at(*id).committed;
    segments_.erase(*id);
  }
  return extent;
}

char* BlockMemory::data(const Extent& extent) {
  return segments_.at(extent.segment).mapping.data() + extent.offset;
}

void BlockMemory::Free(const Extent& extent) {
  auto found = segments_.find(extent.segment);
  if (found == segments_.end()) return;
  Segment& segment = found->second;
  if (segment.dedicated) {
    committed_bytes_ -= segment.committed;
    segments_.erase(found);
    return;
  }
  uint64_t offset = extent.offset;
  uint64_t length = RoundUp(std::max<uint64_t>(extent.length, 1), kAlign);
  auto next = segment.free.lower_bound(offset);
  if (next != segment.free.end() && next->first == offset + length) {
    length += next->second;
    next = segment.free.erase(next);
  }
  if (next != segment.free.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += length;
      return;
    }
  }
  segment.free[offset] = length;
}

std::optional<SegmentView> BlockMemory::segment(uint32_t id) const {
  auto found = segments_.find(id);
  if (found == segments_.end()) return std::nullopt;
  const Segment& segment = found->second;
  return SegmentView{segment.fd.get(), segment.mapping.bytes(), segment.dedicated};
}

}  // namespace sluice
