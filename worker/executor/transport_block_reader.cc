#include "worker/executor/transport_block_reader.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {

absl::StatusOr<std::unique_ptr<BlockBytes>> TransportBlockReader::Read(
    const proto::BlockInfo& block, const proto::GrantedBatch::Holders& holders) {
  if (local_) {
    if (auto mapped = local_(block); mapped != nullptr) return mapped;
  }
  for (const std::string& holder : holders.addresses()) {
    if (auto fetched = fetcher_.Fetch(holder, block)) {
      return std::make_unique<OwnedBlock>(*std::move(fetched));
    }
  }
  return absl::UnavailableError(absl::StrCat("block ", block.name().number(), " of stream ",
                                             block.name().stream(), ": none of its ",
                                             holders.addresses_size(), " holders has sent it"));
}

}  // namespace sluice
