#include "checkpoint/open_store.h"

#include <utility>

#include "checkpoint/checkpoint_url.h"
#include "checkpoint/posix_object_store.h"
#include "common/status.h"

namespace sluice {

absl::StatusOr<std::unique_ptr<ObjectStore>> OpenObjectStore(const std::string& url) {
  ASSIGN_OR_RETURN(const CheckpointUrl parsed, ParseCheckpointUrl(url));
  ASSIGN_OR_RETURN(std::unique_ptr<PosixObjectStore> objects,
                   PosixObjectStore::Open(parsed.objects_path()));
  return std::unique_ptr<ObjectStore>(std::move(objects));
}

}  // namespace sluice
