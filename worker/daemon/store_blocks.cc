#include "worker/daemon/store_blocks.h"

#include <utility>

#include "worker/daemon/block_names.h"

namespace sluice {
namespace {

class StoreBytes : public BlockBytes {
 public:
  explicit StoreBytes(BlockStore::Reading reading) : reading_(std::move(reading)) {}
  std::string_view bytes() const override { return reading_.bytes(); }

 private:
  const BlockStore::Reading reading_;
};

}  // namespace

std::function<std::unique_ptr<BlockBytes>(const proto::BlockInfo& block)> BlocksOfStore(
    BlockStore* store) {
  return [store](const proto::BlockInfo& block) -> std::unique_ptr<BlockBytes> {
    auto reading = store->Read(KeyOf(block.name()));
    if (!reading.ok()) return nullptr;
    // Within a process blocks are logged without a checksum; a store that took one back from the
    // received-data log has summed it.
    const bool summed = block.crc32c() == 0 || reading->crc32c() == block.crc32c();
    const bool same = reading->bytes().size() == block.bytes() && summed;
    return same ? std::make_unique<StoreBytes>(std::move(*reading)) : nullptr;
  };
}

}  // namespace sluice
