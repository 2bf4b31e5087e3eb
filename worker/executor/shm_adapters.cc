#include "worker/executor/shm_adapters.h"

namespace sluice {
namespace {

class MappedBytes : public BlockBytes {
 public:
  explicit MappedBytes(MappedBlock block) : block_(std::move(block)) {}
  std::string_view bytes() const override { return block_.bytes(); }

 private:
  const MappedBlock block_;
};

}  // namespace

TransportBlockReader::LocalBlocks MappedBlocksOf(FdClient* client) {
  return [client](const proto::BlockInfo& block) -> std::unique_ptr<BlockBytes> {
    BlockKey key;
    key.job_instance = block.name().job_instance();
    key.stream = block.name().stream();
    key.incarnation = block.name().incarnation();
    key.number = block.name().number();
    auto mapped = client->MapBlock(key);
    const bool same = mapped.ok() && mapped->bytes().size() == block.bytes() &&
                      mapped->crc32c() == block.crc32c();
    if (!same) return nullptr;
    return std::make_unique<MappedBytes>(*std::move(mapped));
  };
}

}  // namespace sluice
